"""What a model was judged by, for people who look at it; thresholds that people set; a door to promote and go back."""

from alembic import op

revision = "0024"
down_revision = "0023"

STATEMENTS = """
alter table models add column evidence jsonb not null default '{}';  -- contracts.evidence.Evidence: numbers and refs

create table thresholds (                        -- what people set for a version, in place of its own
    version text             not null references models on delete cascade,
    "group" text             not null,
    least   double precision check (least between 0 and 1),  -- null: never by itself
    by      text             not null,
    at      timestamptz      not null default now(),
    primary key (version, "group")
);

-- The gateway may not write into models. Here it may put a version into service that has passed its gates, or any with
-- a reason, and put the champion before the present one back; the reason is the caller's to audit.
create function model_serve(p_version text, p_is_back boolean, p_why text)
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
    update models set status = 'champion', promoted_at = case when p_is_back then promoted_at else clock_timestamp() end
    where version = p_version;
    return champion;
end $$;
revoke execute on function model_serve(text, boolean, text) from public;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATEMENTS.replace("%", "%%"))
