"""
The way in: DNS zone, certificate, load balancer, WAF with a rate limit. The Gateway's pods join the target group.

In `small` the node is the way in: the Gateway's own rate limit, a certificate by ACME, no WAF (6 USD a month).
"""

from typing import Any

import pulumi_aws as aws
from pulumi import Output

from infra.aws.access import Allow
from infra.aws.foundation import AwsFoundation
from infra.aws.observability import log_group
from infra.capabilities import OWN_WORDS, Cluster, Edge, Ground, Reach, Scope, Zone

_TLS = "ELBSecurityPolicy-TLS13-1-2-2021-06"  # TLS 1.2 and 1.3 only
GATEWAY_PORT = 8080
CHAT_PORT = 8084


def build(scope: Scope, ground: Ground[AwsFoundation], cluster: Cluster) -> Edge:
    domain = scope.settings.edge.domain
    zone = _zone(scope, domain) if domain else None
    if scope.settings.is_small or zone is None or domain is None:  # settings refuse a managed cluster without one
        return _node(scope, cluster, zone)
    balancer = _balancer(scope, ground)
    target = _target(scope, ground, cluster, "gateway", GATEWAY_PORT)
    _let_in(scope, cluster, balancer, "gateway", GATEWAY_PORT)
    https = _listeners(scope, balancer, target, _certificate(scope, zone, "", domain))
    _record(scope, zone, balancer, "", domain)
    chat = _chat(scope, ground, cluster, zone, https, balancer) if scope.settings.edge.has_chat else None
    waf = _waf(scope, ground, balancer).arn if scope.settings.edge.waf else ""
    return Edge(
        hostname=domain,
        address=balancer.dns_name,
        entry=target.arn,
        origin_host=domain,
        tls_policy=_TLS,
        zone=zone,
        waf=waf,
        name=balancer.arn_suffix,
        chat_entry=chat.arn if chat else "",
    )


def words(reach: Reach[AwsFoundation], *_: object) -> list[Allow]:
    """cert-manager proves a name by a record, and asks whether the change has arrived."""
    if reach.edge.zone is None:
        return []
    change = ["route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets"]
    return [
        Allow(change, [Output.concat("arn:aws:route53:::hostedzone/", reach.edge.zone.id)]),
        Allow(["route53:GetChange"], ["arn:aws:route53:::change/*"]),
    ]


def _zone(scope: Scope, domain: str) -> Zone:
    if existing := scope.settings.edge.zone:
        return Zone(existing)
    zone = aws.route53.Zone(scope.name("zone"), name=domain, opts=scope.own())
    return Zone(zone.zone_id, zone.name_servers)


def _node(scope: Scope, cluster: Cluster, zone: Zone | None) -> Edge:
    if zone:
        aws.route53.Record(
            scope.name("entry"),
            zone_id=zone.id,
            name=scope.settings.edge.domain or "",
            type="A",
            ttl=300,
            records=[cluster.address],
            opts=scope.own(),
        )
    if zone and (chat := scope.settings.edge.chat_domain):
        aws.route53.Record(
            scope.name("entry-chat"),
            zone_id=zone.id,
            name=chat,
            type="CNAME",
            ttl=300,
            records=[scope.settings.edge.domain or ""],
            opts=scope.own(),
        )
    hostname = scope.settings.edge.domain or cluster.address
    return Edge(
        hostname=hostname,
        address=cluster.address,
        entry="node",
        origin_host=hostname,
        zone=zone,
    )


def _balancer(scope: Scope, ground: Ground[AwsFoundation]) -> aws.lb.LoadBalancer:
    group = aws.ec2.SecurityGroup(
        scope.name("edge"), vpc_id=ground.network.id, description="HTTP and HTTPS from anywhere", opts=scope.own()
    )
    for label, port in (("http", 80), ("https", 443)):
        aws.vpc.SecurityGroupIngressRule(
            scope.name(f"edge-{label}"),
            security_group_id=group.id,
            cidr_ipv4="0.0.0.0/0",
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            opts=scope.own(),
        )
    for label, port in (
        ("edge-in", GATEWAY_PORT),
        *([("edge-in-chat", CHAT_PORT)] if scope.settings.edge.has_chat else []),
    ):
        aws.vpc.SecurityGroupEgressRule(
            scope.name(label),
            security_group_id=group.id,
            cidr_ipv4=str(scope.settings.network.inside),
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            opts=scope.own(),
        )
    return aws.lb.LoadBalancer(
        scope.name("edge"),
        load_balancer_type="application",
        internal=False,
        security_groups=[group.id],
        subnets=ground.network.edge,
        drop_invalid_header_fields=True,
        desync_mitigation_mode="strictest",
        enable_deletion_protection=scope.settings.is_protected,
        opts=scope.own(depends_on=ground.network.ready),
    )


def _chat(
    scope: Scope,
    ground: Ground[AwsFoundation],
    cluster: Cluster,
    zone: Zone,
    https: aws.lb.Listener,
    balancer: aws.lb.LoadBalancer,
) -> aws.lb.TargetGroup:
    """The same balancer by another name: a certificate, a record and a target group of its own."""
    domain = scope.settings.edge.chat_domain
    target = _target(scope, ground, cluster, "chat", CHAT_PORT)
    _let_in(scope, cluster, balancer, "chat", CHAT_PORT)
    proven = _certificate(scope, zone, "-chat", domain)
    aws.lb.ListenerCertificate(
        scope.name("chat"), listener_arn=https.arn, certificate_arn=proven.certificate_arn, opts=scope.own()
    )
    aws.lb.ListenerRule(
        scope.name("chat"),
        listener_arn=https.arn,
        priority=2,
        conditions=[{"host_header": {"values": [domain]}}],
        actions=[{"type": "forward", "target_group_arn": target.arn}],
        opts=scope.own(),
    )
    _record(scope, zone, balancer, "-chat", domain)
    return target


def _let_in(scope: Scope, cluster: Cluster, balancer: aws.lb.LoadBalancer, label: str, port: int) -> None:
    """Auto Mode adds no rule of its own for a balancer that it did not make."""
    aws.vpc.SecurityGroupIngressRule(
        scope.name(label),
        security_group_id=cluster.firewall,
        referenced_security_group_id=balancer.security_groups[0],
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        opts=scope.own(),
    )


def _target(scope: Scope, ground: Ground[AwsFoundation], cluster: Cluster, label: str, port: int) -> aws.lb.TargetGroup:
    return aws.lb.TargetGroup(
        scope.name(label),
        vpc_id=ground.network.id,
        target_type="ip",
        port=port,
        protocol="HTTP",
        deregistration_delay=30,
        health_check={"path": "/health", "interval": 10, "healthy_threshold": 2, "matcher": "200"},
        # AmazonEKSLoadBalancingPolicy lets Auto Mode register pods only where this tag names its cluster.
        tags={"eks:eks-cluster-name": cluster.name},
        opts=scope.own(),
    )


def _certificate(scope: Scope, zone: Zone, label: str, domain: str) -> aws.acm.CertificateValidation:
    certificate = aws.acm.Certificate(
        scope.name(f"edge{label}"), domain_name=domain, validation_method="DNS", opts=scope.own()
    )
    check = certificate.domain_validation_options[0]
    proof = aws.route53.Record(
        scope.name(f"certificate{label}"),
        zone_id=zone.id,
        name=check.resource_record_name,
        type=check.resource_record_type,
        records=[check.resource_record_value],
        ttl=300,
        opts=scope.own(),
    )
    return aws.acm.CertificateValidation(
        scope.name(f"edge{label}"),
        certificate_arn=certificate.arn,
        validation_record_fqdns=[proof.fqdn],
        opts=scope.own(),
    )


def _listeners(
    scope: Scope, balancer: aws.lb.LoadBalancer, target: aws.lb.TargetGroup, proven: aws.acm.CertificateValidation
) -> aws.lb.Listener:
    https = aws.lb.Listener(
        scope.name("https"),
        load_balancer_arn=balancer.arn,
        port=443,
        protocol="HTTPS",
        ssl_policy=_TLS,
        certificate_arn=proven.certificate_arn,
        default_actions=[{"type": "forward", "target_group_arn": target.arn}],
        opts=scope.own(),
    )
    _shut(scope, https)
    aws.lb.Listener(
        scope.name("http"),
        load_balancer_arn=balancer.arn,
        port=80,
        protocol="HTTP",
        default_actions=[
            {"type": "redirect", "redirect": {"port": "443", "protocol": "HTTPS", "status_code": "HTTP_301"}}
        ],
        opts=scope.own(),
    )
    return https


def _shut(scope: Scope, https: aws.lb.Listener) -> None:
    """Metrics are for scrapers inside. The gateway refuses them too: a path is spelt in more ways than a rule knows."""
    aws.lb.ListenerRule(
        scope.name("metrics"),
        listener_arn=https.arn,
        priority=1,
        conditions=[{"path_pattern": {"values": ["/metrics", "/metrics/*"]}}],
        actions=[{"type": "fixed-response", "fixed_response": {"content_type": "text/plain", "status_code": "404"}}],
        opts=scope.own(),
    )


def _record(scope: Scope, zone: Zone, balancer: aws.lb.LoadBalancer, label: str, domain: str) -> None:
    alias: Any = {"name": balancer.dns_name, "zone_id": balancer.zone_id, "evaluate_target_health": True}
    aws.route53.Record(
        scope.name(f"entry{label}"),
        zone_id=zone.id,
        name=domain,
        type="A",
        aliases=[alias],
        opts=scope.own(),
    )


def _waf(scope: Scope, ground: Ground[AwsFoundation], balancer: aws.lb.LoadBalancer) -> aws.wafv2.WebAcl:
    limit = {"limit": scope.settings.edge.requests_per_5min_per_ip, "aggregate_key_type": "IP"}
    rules: Any = [
        {"name": "rate", "priority": 0, "action": {"block": {}}, "statement": {"rate_based_statement": limit}},
        _managed("AWSManagedRulesCommonRuleSet", 1),
        _managed("AWSManagedRulesKnownBadInputsRuleSet", 2),
    ]
    acl = aws.wafv2.WebAcl(
        scope.name("edge"),
        scope="REGIONAL",
        default_action={"allow": {}},
        rules=[{**rule, "visibility_config": _seen(rule["name"])} for rule in rules],
        visibility_config=_seen("edge"),
        opts=scope.own(),
    )
    aws.wafv2.WebAclAssociation(scope.name("edge"), resource_arn=balancer.arn, web_acl_arn=acl.arn, opts=scope.own())
    logs = log_group(
        scope, ground.keys, "waf", name=f"aws-waf-logs-{scope.settings.prefix}"
    )  # WAF insists on this start
    aws.wafv2.WebAclLoggingConfiguration(
        scope.name("edge"),
        resource_arn=acl.arn,
        log_destination_configs=[logs.arn],
        redacted_fields=[{"single_header": {"name": "authorization"}}],
        opts=scope.own(),
    )
    return acl


def _managed(name: str, priority: int) -> dict:
    """Not asked about what people write: it quotes HTML, SQL and addresses, and a refused ticket is lost."""
    statement: dict = {"name": name, "vendor_name": "AWS", "scope_down_statement": _no_own_words()}
    if name == "AWSManagedRulesCommonRuleSet":
        # A ticket is longer than the 8 KB this rule allows; the Gateway has its own limit.
        statement["rule_action_overrides"] = [{"name": "SizeRestrictions_BODY", "action_to_use": {"count": {}}}]
    group = {"managed_rule_group_statement": statement}
    return {"name": name, "priority": priority, "override_action": {"none": {}}, "statement": group}


def _no_own_words() -> dict:
    said = [
        {
            "byte_match_statement": {
                "field_to_match": {"uri_path": {}},
                "positional_constraint": "STARTS_WITH",
                "search_string": path,
                "text_transformations": [{"priority": 0, "type": "NORMALIZE_PATH"}],
            }
        }
        for path in OWN_WORDS
    ]
    return {"not_statement": {"statement": {"or_statement": {"statements": said}}}}


def _seen(name: str) -> Any:
    return {"cloudwatch_metrics_enabled": True, "sampled_requests_enabled": False, "metric_name": name}
