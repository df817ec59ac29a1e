"""Putting a model into service, as statements: the registry's connections wait, the gateway's do not."""

# Of the schema's function: version, whether it goes back, why it may serve where its gates were not passed.
SERVE = "select model_serve(%s, %s, %s) as before"
OFFER = """
insert into catalogue (kind, name) select 'group', jsonb_array_elements_text(manifest -> 'labels') from models
where version = %s on conflict do nothing
"""
# The one that a rollback goes back to. promoted_at stays: going back twice goes back two champions, not to and fro.
EARLIER = """
select version from models where status = 'archived' and promoted_at is not null
  and promoted_at < coalesce((select promoted_at from models where status = 'champion'), 'infinity')
order by promoted_at desc limit 1
"""
