//go:build !linux

package host

// Supported reports whether the system is Linux.
const Supported = false

// Kamailio is a Kamailio about which nothing is known.
type Kamailio struct{}

// Find returns a Kamailio about which nothing is known.
func Find(string, int, Table, *Kamailio) *Kamailio { return &Kamailio{} }

// Table returns an empty table.
func (*Kamailio) Table() Table { return Table{} }

// Read returns an empty Reading.
func (*Kamailio) Read(bool) Reading { return Reading{} }
