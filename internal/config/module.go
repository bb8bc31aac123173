package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
)

// methodAuto stands for all methods that Kamailio has and whose cost does not grow with the traffic.
const methodAuto = "auto"

// Module says which methods of a target to call and how.
type Module struct {
	// Timeout is the maximum time of a scrape. It is positive.
	Timeout time.Duration
	// Auto reports whether auto is among the methods.
	Auto bool
	// Named are the collectors of the named methods, and those with a setting that names what to read.
	Named []*collector.Collector
	// Settings are the settings of the collectors.
	Settings collector.Settings
}

// settingError is an error of one setting of a module.
type settingError struct {
	setting string // the key of a configuration file
	err     error
}

// Error implements error.
func (e *settingError) Error() string { return e.setting + ": " + e.err.Error() }

// Unwrap returns the error without the setting.
func (e *settingError) Unwrap() error { return e.err }

// resolve sets Auto and Named, and checks combinations of settings. The error is a *settingError.
func (m *Module) resolve() error {
	methods := slices.DeleteFunc(slices.Clone(m.Settings.Named), func(method string) bool { return method == methodAuto })
	m.Auto = len(methods) < len(m.Settings.Named)
	named, err := collector.Select(methods)
	if err != nil {
		return &settingError{"methods", err}
	}
	for _, c := range named {
		if c.Setting != "" && len(c.Calls(m.Settings)) == 0 {
			return &settingError{"methods", fmt.Errorf("%s needs %s too, which names what to read", c.Method, SettingName(c.Setting))}
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
	m.Named = named
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
