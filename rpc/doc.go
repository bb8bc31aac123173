// Package rpc has what all transports of Kamailio's RPC share. A [Client] sends a
// [Call] and returns a [Reply], which has a [Value] or an error. An error that
// Kamailio itself reports is a [Fault].
//
// The transports are in the packages below this one: binrpc speaks to the sockets
// of the Kamailio module ctl, jsonrpc to those of jsonrpcs. Package dial chooses the
// transport by URI; most programs start with it:
//
//	client, err := dial.New("unix:/var/run/kamailio/kamailio_ctl")
//	...
//	uptime, err := rpc.One(ctx, client, "core.uptime")
//
// Package binrpctest has a server for tests. All these packages need nothing but the
// standard library.
package rpc
