// Package jsonrpc speaks to the Kamailio module jsonrpcs, for servers without the
// module ctl: JSON-RPC 2.0 over HTTP and HTTPS, unix datagrams, UDP and TCP.
//
// It returns the same values as package binrpc, as far as Kamailio sends the same.
// In Kamailio's JSON, a list of named values is an array of objects with one member
// each, an object may repeat a name, a single record may be an object or an array
// of one, and booleans are true and false. [Parse] makes of these what BINRPC has.
// Some values are not sent: of a method whose handler is not marked as returning an
// array, only the last record (rl.stats, dns.mem_info). ctl.who and ctl.connections
// have replies over BINRPC only.
//
// Source: Kamailio's src/modules/jsonrpcs, and replies of Kamailio 5.6, 6.0 and 6.1.
package jsonrpc
