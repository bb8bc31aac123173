// Package jsonrpc speaks to Kamailio's jsonrpcs module, for servers without the
// ctl module: JSON-RPC 2.0 over HTTP and HTTPS, unix datagrams, UDP and TCP.
//
// It gives the same values as package binrpc, as far as Kamailio lets it: in
// JSON, a list of named values is an array of objects with one member each, a
// struct may repeat a name, one record may be an object where a list of one is
// an array, booleans are true and false. [Parse] undoes all of that. What
// Kamailio drops on the way cannot be undone: of a method whose handler is not
// marked as returning an array only the last record comes (rl.stats,
// dns.mem_info), and ctl.who and ctl.connections answer BINRPC only.
//
// Source: Kamailio's src/modules/jsonrpcs, and replies of Kamailio 5.6 and 6.0.
package jsonrpc
