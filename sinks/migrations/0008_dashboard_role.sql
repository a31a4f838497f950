-- What the dashboard may do, whatever its own defects: read, and write rules, the watchlist and what people say of prices in
-- quarantine. It takes this role on each connection, where there is one: a database user that may not make roles leaves it out.
DO $$
BEGIN
    CREATE ROLE conscope_dashboard NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL; -- another database of this server has made it
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'the dashboard keeps all rights of %: it may not make the role conscope_dashboard', current_user;
END $$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'conscope_dashboard') THEN
        RETURN;
    END IF;
    -- Who makes a role is a member that may not take it, since Postgres 16.
    IF NOT pg_has_role('conscope_dashboard',
                       CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END) THEN
        GRANT conscope_dashboard TO CURRENT_USER;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO conscope_dashboard', current_schema);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO conscope_dashboard', current_schema);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT ON TABLES TO conscope_dashboard', current_schema);
    GRANT INSERT, UPDATE, DELETE ON alerts, watchlist TO conscope_dashboard;
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO conscope_dashboard', current_schema);
    GRANT UPDATE ON source_events TO conscope_dashboard;
    GRANT UPDATE (used_at) ON mute_links TO conscope_dashboard;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'the dashboard keeps all rights of %: it may not give the role conscope_dashboard', current_user;
END $$;

-- What stands behind a person's act is done with the rights of the schema's owner.
ALTER FUNCTION record_rule_version() SECURITY DEFINER SET search_path FROM CURRENT;
ALTER FUNCTION release_quarantined(bigint) SECURITY DEFINER SET search_path FROM CURRENT;
ALTER FUNCTION confirm_quarantined(bigint) SECURITY DEFINER SET search_path FROM CURRENT;
ALTER FUNCTION send_test(text) SECURITY DEFINER SET search_path FROM CURRENT;
REVOKE EXECUTE ON FUNCTION release_quarantined(bigint), confirm_quarantined(bigint), send_test(text) FROM PUBLIC;
DO $$
BEGIN
    GRANT EXECUTE ON FUNCTION release_quarantined(bigint), confirm_quarantined(bigint), send_test(text) TO conscope_dashboard;
EXCEPTION
    WHEN undefined_object THEN NULL; -- there is no such role
END $$;
