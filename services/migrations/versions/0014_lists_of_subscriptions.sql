-- Lists of all subscriptions by plan and by status, in the order of their ids. No charge changes either column, so that its
-- update of the row stays within the page and touches no index.
CREATE INDEX balance_plan_idx ON {schema}.balance (plan_id, subscription_id);
CREATE INDEX balance_status_idx ON {schema}.balance (status, subscription_id);
