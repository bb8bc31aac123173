// Package rpc defines the types that all transports of Kamailio's RPC share. A
// [Client] sends a [Call] and returns a [Reply], which contains a [Value] or an
// error. An error that Kamailio itself reports is a [Fault].
//
// The transports are subpackages: binrpc uses the sockets of the Kamailio module
// ctl, jsonrpc those of the Kamailio module jsonrpcs. Package dial selects the
// transport by URI; most programs start with it:
//
//	client, err := dial.New("unix:/var/run/kamailio/kamailio_ctl")
//	...
//	uptime, err := rpc.One(ctx, client, "core.uptime")
//
// Package binrpctest provides a server for tests. All these packages depend only on
// the standard library.
package rpc
