package config

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
)

// methodAuto stands for all methods that Kamailio has and whose cost does not grow with the traffic.
const methodAuto = "auto"

// Module says which methods of a target to call and how.
type Module struct {
	// Name is the key of the module in the configuration file; "default" for the module of the flags.
	Name string
	// Set has the keys of the settings that the user gave, sorted.
	Set []string
	// Timeout is the maximum time of a scrape. It is positive.
	Timeout time.Duration
	// Auto reports whether auto is among the methods.
	Auto bool
	// Named are the collectors of the named methods, and those with a setting that names what to read.
	Named []*collector.Collector
	// Custom are the collectors of the user's own metrics. Named has them too.
	Custom []*collector.Collector
	// Settings are the settings of the collectors.
	Settings collector.Settings
	// SIP says which SIP sockets to probe; nil for none.
	SIP *SIP
	// Host says whether to read what the exporter's host knows about Kamailio's processes and sockets.
	Host Host

	fromFlags bool // the settings are those of the flags
}

// settingError is an error of one setting of a module.
type settingError struct {
	setting string // the key of a configuration file
	err     error
}

// defaultModule returns a module with the default of each setting, which is that of its flag.
var defaultModule = sync.OnceValue(func() Module {
	app, f := newApp()
	if err := cli.Parse(app, nil); err != nil {
		panic(err) // a default value that its flag does not accept
	}
	return f.module
})

// defaultName is the name of the module that is used if no other module is named.
const defaultName = "default"

// readModule reads one module of the file.
func (l *loader) readModule(key, value node) error {
	if err := key.checkName("a module"); err != nil {
		return err
	}
	module := defaultModule()
	module.Name = key.Value
	legacy := true
	lines := map[string]node{}
	known := fields{
		"methods":         intoList(&module.Settings.Named, asIs),
		"timeout":         intoValue((*cli.Duration)(&module.Timeout)),
		"short":           intoList(&module.Settings.Short, asIs),
		"stats_groups":    intoList(&module.Settings.StatsGroups, asIs),
		"dialog_profiles": intoList(&module.Settings.DialogProfiles, collector.ParseDialogProfile),
		"htable_keys":     intoList(&module.Settings.HtableKeys, collector.ParseHtableKey),
		"shv":             intoList(&module.Settings.SharedVariables, collector.ParseSharedVariable),
		"kafka_topics":    intoList(&module.Settings.KafkaTopics, collector.ParseKafkaTopic),
		"dispatcher_sets": intoSets(&module.Settings.DispatcherSets),
		"max_series":      intoValue(maxSeries(&module)),
		"legacy_series":   intoBool(&legacy),
		"custom_metrics":  l.intoCustom(&module.Custom),
		"sip":             readSIP(&module.SIP),
		"host":            intoValue(&module.Host),
	}
	for name, read := range known {
		known[name] = func(n node) error {
			lines[name] = n
			return read(n)
		}
	}
	if err := value.readFields(known); err != nil {
		return err
	}
	module.Set = slices.Sorted(maps.Keys(lines))
	module.Settings.NoLegacySeries = !legacy
	if err := module.resolve(func(key string) string { return key }); err != nil {
		return lines[err.setting].wrong("module %q: %s: %w", module.Name, err.setting, err.err)
	}
	l.modules[module.Name] = &module
	return nil
}

// intoSets returns a function that reads a mapping of ids of dispatcher sets to names into dst. An id must be written as in
// the label setid.
func intoSets(dst *map[string]string) func(node) error {
	return func(n node) error {
		*dst = map[string]string{}
		return n.readMapping("of ids of dispatcher sets to names, for example {1: carriers}", func(key, value node) error {
			id, err := strconv.ParseUint(key.Value, 10, 31)
			if err != nil || key.Value != strconv.FormatUint(id, 10) {
				return key.wrong("%q is not the id of a dispatcher set, use a whole number from 0 to %d", key.Value, math.MaxInt32)
			}
			name, err := value.text()
			if err != nil {
				return err
			}
			(*dst)[key.Value] = name
			return nil
		})
	}
}

// intoCustom returns a function that reads a list of names of custom_metrics.
func (l *loader) intoCustom(dst *[]*collector.Collector) func(node) error {
	return func(n node) error {
		*dst = nil
		return n.readList(func(element node) error {
			text, err := element.text()
			if err != nil {
				return err
			}
			c := l.custom[text]
			switch {
			case c == nil:
				return element.wrong("there is no entry %q in custom_metrics; the entries are %s", text, keysOf(l.custom))
			case slices.Contains(*dst, c):
				return element.wrong("the list has %q twice", text)
			}
			*dst = append(*dst, c)
			return nil
		})
	}
}

// equal reports whether the modules are equal. Collectors of custom metrics are made anew each time that a file is loaded.
func (m *Module) equal(other *Module) bool {
	a, b := *m, *other
	a.Named, a.Custom, b.Named, b.Custom = nil, nil, nil, nil
	return reflect.DeepEqual(a, b) && slices.EqualFunc(m.Named, other.Named, (*collector.Collector).Equal)
}

// resolve sets Auto and Named, and checks combinations of settings. nameOf returns the name of a setting for errors, given its
// key.
func (m *Module) resolve(nameOf func(key string) string) *settingError {
	methods := slices.DeleteFunc(slices.Clone(m.Settings.Named), func(method string) bool { return method == methodAuto })
	m.Auto = len(methods) < len(m.Settings.Named)
	if len(m.Settings.Named) == 0 && len(m.Custom) == 0 {
		return &settingError{"methods", errors.New("must name at least one method, or auto")}
	}
	named, err := collector.Select(methods)
	if err != nil {
		return &settingError{"methods", err}
	}
	for _, c := range named {
		if c.Setting != "" && len(c.Calls(m.Settings)) == 0 {
			return &settingError{"methods", fmt.Errorf("%s needs %s too, which names what to read", c.Method, nameOf(c.Setting))}
		}
	}
	// A method with such a setting counts as named, so that its failures are reported.
	for _, c := range collector.All {
		if c.Setting != "" && len(c.Calls(m.Settings)) > 0 && !slices.Contains(named, c) {
			named = append(named, c)
		}
	}
	for _, method := range m.Settings.Short {
		if !slices.Contains(shortMethods(), method) {
			return &settingError{"short", fmt.Errorf("%q has no short form; the methods with one are %s", method, strings.Join(shortMethods(), ", "))}
		}
	}
	m.Named = slices.Concat(named, m.Custom)
	return nil
}

// binrpcOnly returns the first named method that Kamailio does not answer completely over JSON-RPC, or "".
func (m *Module) binrpcOnly() string {
	for _, c := range m.Named {
		if c.BINRPCOnly {
			return c.Method
		}
	}
	return ""
}

// shortMethods returns the methods that have a short form, sorted.
func shortMethods() []string {
	var methods []string
	for _, c := range collector.All {
		if c.Short {
			methods = append(methods, c.Method)
		}
	}
	slices.Sort(methods)
	return methods
}
