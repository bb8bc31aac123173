// Package rpc has the words that every Kamailio RPC transport shares: a
// [Call] goes out, a [Reply] holds the [Value] that came back or an error,
// of which a [Fault] is Kamailio's own.
//
// The transports are in the packages below this one: binrpc speaks to the
// control sockets of Kamailio's ctl module, jsonrpc to its jsonrpcs module.
// Package dial picks the transport by URI and is where most programs start:
//
//	client, err := dial.New("unix:/var/run/kamailio/kamailio_ctl")
//	...
//	uptime, err := rpc.One(ctx, client, "core.uptime")
//
// This package and those below it need the standard library only.
package rpc
