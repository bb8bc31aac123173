package collector

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields in this file: rpc_shv_get in Kamailio's
// src/modules/pv/pv_shv.c. The cost does not depend on the traffic: Kamailio
// searches a list of the variables, and reads one value under its lock.
//
// The list is made when Kamailio reads its configuration. A process that adds a
// variable later is alone in seeing it, so a missing variable is an error.

// ParseSharedVariable returns text, the name of a shared variable of Kamailio,
// which is name for $shv(name). It returns an error if the name is empty or has
// control characters.
func ParseSharedVariable(text string) (string, error) {
	if text == "" || strings.ContainsFunc(text, unicode.IsControl) {
		return "", fmt.Errorf("%q names no shared variable, use name for $shv(name)", text)
	}
	return text, nil
}

var sharedVariable = gauge("kamailio_shv_value",
	"Value of the shared variable $shv(name), if it is a number or a string that contains one. Field value of pv.shvGet.", "name")

var pvShvGet = &Collector{
	Method:  "pv.shvGet",
	Module:  "pv",
	Help:    "values of shared variables $shv(name), a series for each configured name",
	Auto:    true,
	Setting: "shv",
	Metrics: []*metric.Desc{sharedVariable},
	calls: func(settings Settings) []rpc.Call {
		var calls []rpc.Call
		for _, name := range settings.SharedVariables {
			calls = append(calls, rpc.Call{Method: "pv.shvGet", Args: []any{name}})
		}
		return calls
	},
	collect: func(out *metric.Writer, _ Settings, replies []Reply) {
		for _, reply := range replies {
			v := reply.Value.Get("value")
			if !v.Exists() {
				continue
			}
			name := reply.argument(0)
			value, ok := numberOrText(v)
			if !ok {
				out.Skip(metric.NotANumber, "$shv("+name+")") // its value may be a secret
				continue
			}
			out.Add(sharedVariable, value, name)
		}
	},
}
