mod golden;
mod health;
mod reconcile;
mod run;
