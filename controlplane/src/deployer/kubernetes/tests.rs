mod golden;
mod reconcile;
