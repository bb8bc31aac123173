// Package jsonrpc implements clients of the Kamailio module jsonrpcs, for servers
// without the Kamailio module ctl: JSON-RPC 2.0 over HTTP and HTTPS, unix datagrams,
// UDP and TCP.
//
// It returns the same values as package binrpc if Kamailio sends the same data. In
// Kamailio's JSON, a list of named values is an array of objects with one member
// each, an object may repeat a name, a single record may be an object or an array of
// one object, and booleans are true and false. [Parse] converts these to the values
// that BINRPC has.
//
// Kamailio does not send all values over JSON-RPC. It sends only the last record of a
// method that returns several records but is not marked to return an array, for
// example rl.stats and dns.mem_info. It refuses ctl.who and ctl.connections.
//
// Source: Kamailio's src/modules/jsonrpcs, and replies captured from Kamailio 5.6, 6.0
// and 6.1.
package jsonrpc
