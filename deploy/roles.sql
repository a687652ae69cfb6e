-- Makes Bailey's database roles.  Run once by a superuser, before the first `migrate`; harmless to
-- repeat (it sets the passwords again).  Variables: bailey_owner_password,
-- bailey_console_password, bailey_portal_password, bailey_worker_password.
--
--   psql -v bailey_owner_password=… -v bailey_console_password=… … \
--        -f deploy/roles.sql
--
-- c_analyst, c_portal, c_worker  what a scope becomes (tenants/scope.py); policies name them
-- janitor                        BYPASSRLS; owns the few SECURITY DEFINER functions
-- bailey_owner                   owns the tables, used by `migrate` only
-- bailey_console, …_portal, …_worker   one login per process group; each may become only its own role
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['c_analyst', 'c_portal', 'c_worker', 'janitor'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        END IF;
    END LOOP;
    FOREACH role_name IN ARRAY
        ARRAY['bailey_owner', 'bailey_console', 'bailey_portal', 'bailey_worker']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOINHERIT', role_name);
        END IF;
    END LOOP;
END
$$;
ALTER ROLE c_analyst NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB;
ALTER ROLE c_portal NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB;
ALTER ROLE c_worker NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB;
ALTER ROLE janitor NOLOGIN NOSUPERUSER BYPASSRLS NOCREATEROLE NOCREATEDB;
ALTER ROLE bailey_owner LOGIN NOSUPERUSER NOBYPASSRLS NOINHERIT CREATEDB PASSWORD :'bailey_owner_password';
ALTER ROLE bailey_console LOGIN NOSUPERUSER NOBYPASSRLS NOINHERIT PASSWORD :'bailey_console_password';
ALTER ROLE bailey_portal LOGIN NOSUPERUSER NOBYPASSRLS NOINHERIT PASSWORD :'bailey_portal_password';
ALTER ROLE bailey_worker LOGIN NOSUPERUSER NOBYPASSRLS NOINHERIT PASSWORD :'bailey_worker_password';
GRANT c_analyst TO bailey_console;
GRANT c_portal TO bailey_portal;
GRANT c_worker TO bailey_worker;
-- The owner hands functions to janitor; tests run as the owner and become each role in turn.
GRANT c_analyst, c_portal, c_worker, janitor TO bailey_owner;
