package cli

import (
	"encoding/json"
	"testing"
)

func TestPrintable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                       "",
		"sip:bob@example.org é世": "sip:bob@example.org é世",
		"\x1b[31m\a\r\n\t\x00":   `\x1b[31m\a\r\n\t\x00`,
		"\x7f\u009b\u0085":       `\x7f\u009b\u0085`,
		"\u202e\u2066\u200f":     `\u202e\u2066\u200f`,
		"\U000e0041\u2028\ufeff": `\U000e0041\u2028\ufeff`,
		"\x9b31m":                "\ufffd31m",
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q becomes %s, want %s", text, got, want)
		}
	}
}

func TestPrintableJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{\n  \"é\": \"世\"\n}":         "{\n  \"é\": \"世\"\n}",
		"\"\x7f\u009b\u202e\"":         `"\u007f\u009b\u202e"`,
		"\"\U000e0041\U000f0000\"":     `"\udb40\udc41\udb80\udc00"`,
		`"\u001b[31m\n"`:               `"\u001b[31m\n"`,
		"\"\\\\\u202e\\\"\U0001f600\"": `"\\\u202e\"😀"`,
	} {
		got := PrintableJSON([]byte(text))
		if string(got) != want {
			t.Errorf("%q becomes %s, want %s", text, got, want)
		}
		var before, after any
		if err := json.Unmarshal([]byte(text), &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(got, &after); err != nil {
			t.Errorf("%s: %v", got, err)
		} else if a, b := mustMarshal(t, before), mustMarshal(t, after); a != b {
			t.Errorf("%s means %s, want %s", got, b, a)
		}
	}
}

func mustMarshal(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRedacted(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"unix:/path":          "unix:/path",
		"http://u:PW@host/":   "…@host/",
		"u:P@W@host?token=PW": "…@host",
		"http://u:P?W@host/":  "…",
		"http://host/?a=PW":   "http://host/",
		"http://host/?a=u@PW": "…",
	} {
		if got := Redacted(uri); got != want {
			t.Errorf("%s becomes %s, want %s", uri, got, want)
		}
	}
}
