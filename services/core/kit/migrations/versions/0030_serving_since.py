"""Since when the champion is the champion: a rollback keeps `promoted_at`, and routers take a while to follow."""

from alembic import op

revision = "0030"
down_revision = "0029"

STATEMENTS = """
alter table models add column serving_since timestamptz;
update models set serving_since = promoted_at where status = 'champion';

create or replace function model_serve(p_version text, p_is_back boolean, p_why text)
returns text language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    found_gates jsonb;
    found_status text;
    champion text;
begin
    perform pg_advisory_xact_lock(hashtext('models'));
    select gates, status into found_gates, found_status from models where version = p_version;
    if not found then
        raise exception 'no model %', p_version using errcode = 'no_data_found';
    end if;
    select version into champion from models where status = 'champion';
    if found_status = 'champion' then
        return champion;
    end if;
    if p_is_back and found_status <> 'archived' then
        raise exception 'model % never served', p_version using errcode = 'check_violation';
    end if;
    if not p_is_back and coalesce(p_why, '') = ''
       and (found_gates = '[]' or found_gates @> '[{"passed": false}]') then
        raise exception 'model % has not passed its gates', p_version using errcode = 'check_violation';
    end if;
    update models set status = 'archived' where status = 'champion';
    update models set status = 'champion', serving_since = clock_timestamp(),
        promoted_at = case when p_is_back then promoted_at else clock_timestamp() end
    where version = p_version;
    return champion;
end $$;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS.replace("%", "%%"))
