// Package rpcmethods has a table of Kamailio's RPC methods with what each does to
// Kamailio. It decides which methods the exporter may call for users, and for which
// methods kamrpc wants a confirmation.
package rpcmethods

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Effect is what a method does to Kamailio.
type Effect string

// The effects, in the order of their danger.
const (
	// Reads is for methods that only read, at a cost that does not grow with the traffic.
	Reads Effect = "reads"
	// Costly is for methods that only read, at a cost that grows with the traffic, with
	// the number of users, or with the size of a table, and for those that wait for a
	// database.
	Costly Effect = "costly"
	// Changes is for methods that change the state of Kamailio, reset counters, write
	// files or send messages.
	Changes Effect = "changes"
	// Unsafe is for methods that can end, crash or block Kamailio with any arguments or
	// replies, run commands or scripts, write to any file, or show secrets in bulk.
	Unsafe Effect = "unsafe"
)

// Method is an RPC method of Kamailio 5.6, 6.0 or 6.1.
type Method struct {
	// Name is the full name, for example "core.uptime".
	Name string
	// Module is the Kamailio module that provides the method, "core" for the core. If more
	// than one does, they are separated by ", ".
	Module string
	// Effect is the worst that the method does, with any arguments, in any of the versions.
	Effect Effect
	// ReadingArgs is the one argument with which the method only reads although its Effect
	// is Changes or Unsafe; "none" means that it only reads without arguments. It is empty
	// for most methods.
	ReadingArgs string
	// Source is the file of the method in Kamailio's repository.
	Source string
	// Note says why the method has its Effect, as a clause that begins with "it" or "its".
	// It may be empty if Effect is Reads. A method that reads secrets has a note that says so.
	Note string
}

// With returns the effect of the method with arguments.
func (m Method) With(args ...any) Effect {
	none := m.ReadingArgs == "none" && len(args) == 0
	reading := m.ReadingArgs != "" && m.ReadingArgs != "none" && len(args) == 1 && args[0] == m.ReadingArgs
	if none || reading {
		return Reads
	}
	return m.Effect
}

//go:embed methods.tsv
var data string

// table has all methods by name.
var table = sync.OnceValue(func() map[string]Method {
	methods := map[string]Method{}
	for line := range strings.Lines(data) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		m, err := parse(strings.TrimSuffix(line, "\n"))
		if err != nil {
			panic(err) // TestTable fails
		}
		methods[m.Name] = m
	}
	return methods
})

// parse parses a line of the table.
func parse(line string) (Method, error) {
	fields := strings.Split(line, "\t")
	if len(fields) < 4 || len(fields) > 5 || slices.Contains(fields, "") {
		return Method{}, fmt.Errorf("%q has %d fields or an empty one, want 4 or 5", line, len(fields))
	}
	effect, readingArgs, excepts := strings.Cut(fields[2], " except ")
	m := Method{Name: fields[0], Module: fields[1], Effect: Effect(effect), ReadingArgs: readingArgs, Source: fields[3]}
	if len(fields) == 5 {
		m.Note = fields[4]
	}
	if !slices.Contains([]Effect{Reads, Costly, Changes, Unsafe}, m.Effect) || m.Note == "" && m.Effect != Reads {
		return Method{}, fmt.Errorf("%q has an unknown effect or no note", line)
	}
	if excepts && (readingArgs == "" || m.Effect != Changes && m.Effect != Unsafe) {
		return Method{}, fmt.Errorf("%q has an exception without an argument, or from an effect that reads", line)
	}
	return m, nil
}

// Lookup returns a method, and false if it is not in the table.
func Lookup(name string) (Method, bool) {
	m, ok := table()[name]
	return m, ok
}

// All returns all methods, sorted by name.
func All() []Method {
	methods := make([]Method, 0, len(table()))
	for _, m := range table() {
		methods = append(methods, m)
	}
	slices.SortFunc(methods, func(a, b Method) int { return strings.Compare(a.Name, b.Name) })
	return methods
}
