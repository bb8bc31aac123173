package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kingpin/v2"
	"go.yaml.in/yaml/v3"
)

// node is a YAML value and the file that has it.
type node struct {
	*yaml.Node
	file string
}

func (n node) at(child *yaml.Node) node {
	if child.Kind == yaml.AliasNode {
		child = child.Alias
	}
	return node{child, n.file}
}

// wrong returns an error that begins with the node's file and line.
func (n node) wrong(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", n.file, n.Line, fmt.Errorf(format, args...))
}

// fields are the keys that a mapping may have, each with the function that reads its value.
type fields map[string]func(node) error

// keys returns the names of the fields, sorted and separated by commas.
func (f fields) keys() string { return strings.Join(slices.Sorted(maps.Keys(f)), ", ") }

// readFields reads a mapping whose keys are known. It returns all errors.
func (n node) readFields(known fields) error { return n.readFieldsOf(known, known.keys()) }

// readFieldsOf is readFields if not all known keys are allowed; allowed are the keys that errors list.
func (n node) readFieldsOf(known fields, allowed string) error {
	return n.readMapping("with the keys "+allowed, func(key, value node) error {
		read, ok := known[key.Value]
		if !ok {
			return key.wrong("unknown key %q, allowed are %s", key.Value, allowed)
		}
		return read(value)
	})
}

// readMapping calls read for each key of a mapping. A key that occurs twice is an error. what describes the mapping.
func (n node) readMapping(what string, read func(key, value node) error) error {
	if n.Kind != yaml.MappingNode {
		return n.wrong("must be a mapping %s", what)
	}
	var wrong []error
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.at(n.Content[i]), n.at(n.Content[i+1])
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			wrong = append(wrong, key.wrong("a key must be a plain word"))
			continue
		}
		if line, repeated := lines[key.Value]; repeated {
			wrong = append(wrong, key.wrong("the key %q is repeated; it is also in line %d", key.Value, line))
			continue
		}
		lines[key.Value] = key.Line
		wrong = append(wrong, read(key, value))
	}
	return errors.Join(wrong...)
}

// readList calls read for each element of a list.
func (n node) readList(read func(node) error) error {
	if n.Kind != yaml.SequenceNode {
		return n.wrong("must be a list, for example [a, b]")
	}
	var wrong []error
	for _, element := range n.Content {
		wrong = append(wrong, read(n.at(element)))
	}
	return errors.Join(wrong...)
}

// text reads a scalar that is not empty.
func (n node) text() (string, error) {
	if n.Kind != yaml.ScalarNode || n.Value == "" || n.Tag == "!!null" {
		return "", n.wrong("must be a text, which must not be empty")
	}
	return n.Value, nil
}

// into returns a function that reads a text into dst.
func into(dst *string) func(node) error {
	return func(n node) (err error) {
		*dst, err = n.text()
		return err
	}
}

// intoList returns a function that reads a list of texts into dst, each by parse. An element that repeats another one is
// an error.
func intoList[T comparable](dst *[]T, parse func(string) (T, error)) func(node) error {
	return func(n node) error {
		*dst = nil
		return n.readList(func(element node) error {
			text, err := element.text()
			if err != nil {
				return err
			}
			parsed, err := parse(text)
			if err != nil {
				return element.wrong("%w", err)
			}
			if slices.Contains(*dst, parsed) {
				return element.wrong("the list has %q twice", text)
			}
			*dst = append(*dst, parsed)
			return nil
		})
	}
}

// asIs is the parse function of a text that may be anything.
func asIs(text string) (string, error) { return text, nil }

// intoBool returns a function that reads true or false.
func intoBool(dst *bool) func(node) error {
	return func(n node) (err error) {
		if *dst, err = strconv.ParseBool(n.Value); n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || err != nil {
			return n.wrong("must be true or false")
		}
		return nil
	}
}

// intoValue returns a function that reads a value with the Set method of a flag's value.
func intoValue(dst kingpin.Value) func(node) error {
	return func(n node) error {
		text, err := n.text()
		if err != nil {
			return err
		}
		if err := dst.Set(text); err != nil {
			return n.wrong("%w", err)
		}
		return nil
	}
}

// maxFile is the maximum size of a file, in bytes. 100,000 targets need less.
const maxFile = 16 << 20

// errEmpty is the error of a file without any value.
var errEmpty = errors.New("the file is empty")

// readYAML reads a file that is one YAML document.
func readYAML(path string) (node, error) {
	file, err := os.Open(path) //nolint:gosec // the user's configuration names the file
	if err != nil {
		return node{}, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return node{}, err
	}
	if len(content) > maxFile {
		return node{}, fmt.Errorf("%s: the file has more than %d bytes", path, maxFile)
	}
	return parseYAML(path, content)
}

// parseYAML parses the content of a file that is one YAML document.
func parseYAML(file string, content []byte) (node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document, more yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return node{}, fmt.Errorf("%s: %w", file, errEmpty)
	} else if err != nil {
		return node{}, syntaxError(file, content, err)
	}
	if err := decoder.Decode(&more); err == nil {
		return node{}, node{&more, file}.wrong("the file must be one YAML document")
	} else if !errors.Is(err, io.EOF) {
		return node{}, syntaxError(file, content, err)
	}
	return node{file: file}.at(document.Content[0]), nil
}

// yamlError matches an error of the YAML library. It has no line if that is the first one, or if a character is not allowed.
var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// syntaxError returns an error of the YAML library with the file and the line.
func syntaxError(file string, content []byte, err error) error {
	match := yamlError.FindStringSubmatch(err.Error())
	if match == nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	line := match[1]
	if line == "" {
		line = strconv.Itoa(1 + bytes.Count(content[:badCharacter(content)], []byte("\n")))
	}
	return fmt.Errorf("%s:%s: %s", file, line, match[2])
}

// badCharacter returns the index of the first character that YAML does not allow, 0 if there is none.
func badCharacter(content []byte) int {
	return max(0, bytes.IndexFunc(content, func(r rune) bool {
		return r == utf8.RuneError || r == 0x7f || r < ' ' && !strings.ContainsRune("\t\r\n", r)
	}))
}
