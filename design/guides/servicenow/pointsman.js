// Script include "PointsmanHook" (global scope, not client callable), then a business rule on incident that calls it.
// System properties: pointsman.url, and pointsman.secret of type password2.

var PointsmanHook = Class.create();
PointsmanHook.prototype = {
    initialize: function () {
        this.url = gs.getProperty('pointsman.url');
        this.secret = gs.getProperty('pointsman.secret');
    },

    // What happened, in Pointsman's words. An update that only adds our own note comes back under our own name.
    kindOf: function (current, operation) {
        if (operation === 'insert') return 'created';
        if (operation === 'delete') return 'deleted';
        if (current.state.changes() && ['6', '7'].indexOf(String(current.state)) >= 0) return 'solved';
        if (current.assignment_group.changes() || current.assigned_to.changes()) return 'assigned';
        if (current.comments.changes() || current.work_notes.changes()) return 'commented';
        return 'updated';
    },

    // Neither text nor names leave ServiceNow here: Pointsman reads the incident itself.
    send: function (current, operation) {
        var body = JSON.stringify({
            event: this.kindOf(current, operation),
            sys_id: String(current.sys_id),
            by: gs.getUserName(),
            at: String(current.sys_updated_on),
            mod_count: String(current.sys_mod_count)
        });
        var timestamp = String(Math.floor(new GlideDateTime().getNumericValue() / 1000));
        var key = GlideStringUtil.base64Encode(this.secret);
        var signature = new GlideCertificateEncryption().generateMac(key, 'HmacSHA256', timestamp + '.' + body);
        var call = new sn_ws.RESTMessageV2();
        call.setEndpoint(this.url);
        call.setHttpMethod('POST');
        call.setRequestHeader('Content-Type', 'application/json');
        call.setRequestHeader('X-Pointsman-Timestamp', timestamp);
        call.setRequestHeader('X-Pointsman-Signature', signature);
        call.setRequestBody(body);
        call.executeAsync();
    },

    type: 'PointsmanHook'
};

// Business rule "Tell Pointsman": table incident, when after (async knows no changes), insert, update and delete:
//
//   (function executeRule(current, previous) {
//       new PointsmanHook().send(current, current.operation());
//   })(current, previous);
