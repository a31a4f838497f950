-- An open window is written over many times. With room on its page, a new version needs no new entry in any index.
ALTER TABLE price_windows SET (fillfactor = 60);
ALTER TABLE pipeline_progress SET (fillfactor = 20);
ALTER TABLE rule_states SET (fillfactor = 60);
