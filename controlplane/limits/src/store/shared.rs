//! Counts in a Redis or Valkey server, which several services share. A script of the server's counts, so that nothing comes
//! between what it looks at and what it writes.

use std::time::Duration;

use limit_rule::Mode;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, FromRedisValue, Pipeline, Script, ScriptInvocation};
use tokio::time::timeout;

use super::lists::MOST_LISTED;
use super::posting::{MOST, REMEMBERED};
use super::{Amount, Answer, Balance, Change, Hit, Listed, Moment, Outcome, Posting, Spender, StoreError};

/// What every key begins with, so that a server can be shared.
const PREFIX: &str = "chancery:limits:";

/// The script: functions, and what calls them.
const SCRIPT: &str = concat!(include_str!("budgets.lua"), include_str!("count.lua"));

/// How long an answer may take, with all attempts to connect. Envoy waits for the service a second, and a client for Envoy.
const PATIENCE: Duration = Duration::from_millis(500);

/// A connection to the server, which is made anew when it breaks. Clones share it.
#[derive(Clone)]
pub struct Shared {
    connection: ConnectionManager,
    script: Script,
}

impl std::fmt::Debug for Shared {
    /// Without the address, which may hold a password.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    /// Connects to `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://` for TLS, as soon as something is counted.
    ///
    /// # Errors
    /// The address is none. The message does not quote it, since it may hold a password.
    pub fn connect(address: &str) -> Result<Self, StoreError> {
        let client = Client::open(address).map_err(|error| StoreError(error.category().to_owned()))?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let connection =
            ConnectionManager::new_lazy_with_config(client, config).map_err(|error| told(&error))?;
        Ok(Self { connection, script: Script::new(SCRIPT) })
    }

    pub(super) async fn count(
        &self,
        hits: &[Hit],
        postings: &[Posting],
        moment: Moment,
    ) -> Result<Answer, StoreError> {
        let mut call = self.script.prepare_invoke();
        call.arg(hits.len()).arg(moment.millis());
        call.arg(moment.after(moment.lease)).arg(moment.after(REMEMBERED));
        hits.iter().for_each(|hit| say_hit(&mut call, hit));
        postings.iter().for_each(|posting| say_posting(&mut call, posting, moment));
        let mut connection = self.connection.clone();
        let numbers: Vec<u64> = timeout(PATIENCE, call.invoke_async(&mut connection))
            .await
            .map_err(|_elapsed| away())?
            .map_err(|error| told(&error))?;
        let (of_hits, of_postings) = numbers
            .split_at_checked(2 * hits.len())
            .ok_or_else(|| StoreError("the store: an answer that is too short".to_owned()))?;
        let (outcomes, _) = of_hits.as_chunks();
        let outcomes = outcomes.iter().map(|&[is_over, count]| Outcome { is_over: is_over != 0, count });
        let (balances, _) = of_postings.as_chunks();
        let balances = balances.iter().map(|&[is_over, spent, reserved, expired]| Balance {
            is_over: is_over != 0,
            spent,
            reserved,
            expired,
        });
        Ok(Answer { outcomes: outcomes.collect(), balances: balances.collect() })
    }
}

impl Shared {
    pub(super) async fn list(&self, spenders: &[Spender], moment: Moment) -> Result<(), StoreError> {
        let mut call = redis::pipe();
        for Spender { list, name, spent, until } in spenders {
            let key = list_key(list);
            let lifetime = until.saturating_sub(moment.millis()).max(1);
            call.cmd("ZADD").arg(&key).arg((*spent).min(MOST)).arg(name).ignore();
            // What is left are those who have spent most.
            let last = i64::try_from(MOST_LISTED).unwrap_or(i64::MAX);
            call.cmd("ZREMRANGEBYRANK").arg(&key).arg(0).arg(-1 - last).ignore();
            call.cmd("PEXPIRE").arg(&key).arg(lifetime).ignore();
        }
        self.ask(&call).await
    }

    pub(super) async fn listed(&self, list: &str, limit: u64, most: usize) -> Result<Listed, StoreError> {
        let key = list_key(list);
        let mut call = redis::pipe();
        call.cmd("ZCARD").arg(&key).cmd("ZCOUNT").arg(&key).arg(limit.min(MOST)).arg("+inf");
        match most.checked_sub(1) {
            Some(last) => call.cmd("ZREVRANGE").arg(&key).arg(0).arg(last),
            None => call.cmd("ZREVRANGE").arg(&key).arg(1).arg(0),
        };
        let (count, exhausted, most) = self.ask(&call).await?;
        Ok(Listed { count, exhausted, most })
    }

    async fn ask<T: FromRedisValue>(&self, call: &Pipeline) -> Result<T, StoreError> {
        let mut connection = self.connection.clone();
        let answer = timeout(PATIENCE, call.query_async(&mut connection)).await;
        answer.map_err(|_elapsed| away())?.map_err(|error| told(&error))
    }
}

/// The key of a list of spenders.
fn list_key(list: &str) -> String {
    format!("{PREFIX}{{spenders|{list}}}")
}

/// No answer has come in time.
fn away() -> StoreError {
    StoreError(format!("the store: no answer within {} ms", PATIENCE.as_millis()))
}

fn say_hit(call: &mut ScriptInvocation<'_>, hit: &Hit) {
    let mode = match hit.mode {
        Mode::Count => "count",
        Mode::Check => "check",
        Mode::Charge => "charge",
    };
    let (sign, amount) = match hit.amount {
        Amount::Add(amount) => ("+", amount),
        Amount::TakeBack(amount) => ("-", amount),
    };
    let lifetime = u64::try_from(hit.lifetime.as_millis()).unwrap_or(u64::MAX);
    call.key(format!("{PREFIX}{}", hit.key)).arg(mode).arg(sign).arg(amount).arg(hit.limit).arg(lifetime);
}

fn say_posting(call: &mut ScriptInvocation<'_>, posting: &Posting, moment: Moment) {
    let (change, request, amount) = match &posting.change {
        Change::Reserve { request, amount, .. } => ("reserve", request.as_str(), Some(*amount)),
        Change::Spend { amount, .. } => ("spend", "", Some(*amount)),
        Change::Settle { request, amount } => ("settle", request.as_str(), *amount),
        Change::Look => ("look", "", None),
    };
    // Both keys of an account have the same hash tag, which is what stands in braces.
    let key = format!("{PREFIX}{{budget|{}}}", posting.account);
    call.key(&key)
        .key(format!("{key}:due"))
        .arg(change)
        .arg(request)
        .arg(amount.map(|amount| amount.min(MOST).to_string()).unwrap_or_default())
        .arg(posting.limit.min(MOST))
        .arg(u8::from(posting.change.is_audit()))
        .arg(posting.window.start)
        .arg(moment.end_of(posting.window));
}

/// What went wrong, without anything of the address.
fn told(error: &redis::RedisError) -> StoreError {
    StoreError(format!("the store: {}", error.category()))
}
