mod golden;
mod reconcile;
mod run;
