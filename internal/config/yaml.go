package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/kingpin/v2"
	"go.yaml.in/yaml/v3"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
)

const (
	// maxValues is the maximum number of values in all files together. A value that has aliases counts again for each of them.
	maxValues = 1_000_000
	// maxErrors is the maximum number of errors that are shown.
	maxErrors = 50
)

// limits ends the reading of files that are too large or have too many values or errors.
type limits struct {
	bytes, values, errors int
	reached               bool
}

// node is a YAML value and the file that has it.
type node struct {
	*yaml.Node
	file   string
	limits *limits // of all files together
	// private reports whether the value is in an auth. Errors do not show such values, and no unknown keys, which may be secrets too.
	private bool
	// key is the key that has the value or the list with the value, "" if it is not known.
	key string
}

// at returns a child, or what an alias stands for.
func (n node) at(child *yaml.Node) node {
	if child.Kind == yaml.AliasNode {
		child = child.Alias
	}
	n.Node = child
	n.limits.values++
	return n
}

// wrong returns an error that begins with the node's file and line. It has no line breaks, which even the name of a file can have.
func (n node) wrong(format string, args ...any) error {
	n.limits.errors++
	return errors.New(cli.Printable(fmt.Sprintf("%s:%d: %v", n.file, n.Line, fmt.Errorf(format, args...))))
}

// wrongValue is wrong with the key of the value, for errors that would be the same for another key.
func (n node) wrongValue(format string, args ...any) error {
	if n.key == "" {
		return n.wrong(format, args...)
	}
	return n.wrong("%s: %w", n.key, fmt.Errorf(format, args...))
}

// ended reports whether a limit has been reached, so that no more children may be read. Its error is nil if an earlier call
// returned one.
func (n node) ended() (bool, error) {
	switch {
	case n.limits.reached:
		return true, nil
	case n.limits.values > maxValues:
		n.limits.reached = true
		return true, n.wrong("the configuration must not have more than %d values; an alias counts like what it stands for", maxValues)
	case n.limits.bytes > maxBytes:
		n.limits.reached = true
		return true, n.wrong("the files of target_files must not have more than %d bytes together", maxBytes)
	case n.limits.errors >= maxErrors:
		n.limits.reached = true
		return true, n.wrong("the file is not read further after %d errors", maxErrors)
	}
	return false, nil
}

// isEmpty reports whether the node is that of a file without any value.
func (n node) isEmpty() bool { return n.Kind == 0 || n.Tag == "!!null" }

// checkTag returns an error if the value has a tag, such as !vault, which the loader would ignore.
func (n node) checkTag() error {
	if n.Style&yaml.TaggedStyle == 0 {
		return nil
	}
	return n.wrong("a value must not have a YAML tag: put a text that begins with ! in quotes")
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
			return key.wrong("unknown key%s, allowed are %s", key.quoted(), allowed)
		}
		value.key = key.Value
		return read(value)
	})
}

// quoted returns the text of the node in quotes, after a space, or "" if it is private.
func (n node) quoted() string {
	if n.private {
		return ""
	}
	return " " + strconv.Quote(n.Value)
}

// readMapping calls read for each key of a mapping. A key that occurs twice is an error. what describes the mapping.
func (n node) readMapping(what string, read func(key, value node) error) error {
	if n.Kind != yaml.MappingNode {
		return n.wrongValue("must be a mapping %s", what)
	}
	var wrong []error
	lines := map[string]int{}
	for pair := range slices.Chunk(n.Content, 2) {
		if ended, err := n.ended(); ended {
			wrong = append(wrong, err)
			break
		}
		key, value := n.at(pair[0]), n.at(pair[1])
		value.key = ""
		if err := errors.Join(key.checkTag(), value.checkTag()); err != nil {
			wrong = append(wrong, err)
			continue
		}
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			wrong = append(wrong, key.wrong("a key must be a plain word"))
			continue
		}
		if line, repeated := lines[key.Value]; repeated {
			wrong = append(wrong, key.wrong("the key%s is repeated; it is also in line %d", key.quoted(), line))
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
		return n.wrongValue("must be a list, for example [a, b]")
	}
	var wrong []error
	for _, child := range n.Content {
		if ended, err := n.ended(); ended {
			wrong = append(wrong, err)
			break
		}
		element := n.at(child)
		err := element.checkTag()
		if err == nil {
			err = read(element)
		}
		wrong = append(wrong, err)
	}
	return errors.Join(wrong...)
}

// text reads a scalar that is not empty.
func (n node) text() (string, error) {
	if n.Value == "" || n.Tag == "!!null" { // lists and mappings have no value
		return "", n.wrongValue("must be a text, which must not be empty")
	}
	return n.Value, nil
}

// line reads a text without control characters.
func (n node) line() (string, error) {
	text, err := n.text()
	if err == nil && hasControl(text) {
		return "", n.wrongValue("must be a text without control characters, for example line breaks")
	}
	return text, err
}

// hasControl reports whether a text has control characters.
func hasControl(text string) bool { return strings.ContainsFunc(text, unicode.IsControl) }

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
		seen := map[T]bool{}
		return n.readList(func(element node) error {
			text, err := element.text()
			if err != nil {
				return err
			}
			parsed, err := parse(text)
			if err != nil {
				return element.wrong("%w", err)
			}
			if seen[parsed] {
				return element.wrongValue("the list has %q twice", text)
			}
			seen[parsed] = true
			*dst = append(*dst, parsed)
			return nil
		})
	}
}

// asIs is the parse function of a text that may be anything.
func asIs(text string) (string, error) { return text, nil }

// intoBool returns a function that reads true or false.
func intoBool(dst *bool) func(node) error {
	return func(n node) error {
		if n.Tag != "!!bool" { // the YAML library reads true and false in lower, upper and title case
			return n.wrongValue("must be true or false")
		}
		*dst = strings.EqualFold(n.Value, "true")
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
			return n.wrongValue("%w", err)
		}
		return nil
	}
}

// parseYAML reads a file that is one YAML document. The node of an empty file is empty.
func parseYAML(file string, content []byte, limits *limits) (node, error) {
	root := node{Node: &yaml.Node{Line: 1}, file: file, limits: limits}
	if err := root.checkEncoding(content); err != nil {
		return root, err
	}
	documents, err := decode(content)
	switch {
	case err != nil:
		return root, root.syntaxError(content, err)
	case documents[0].IsZero():
		return root, nil
	case !documents[1].IsZero():
		return root, root.at(&documents[1]).wrong("the file must be one YAML document")
	}
	root = root.at(documents[0].Content[0])
	return root, root.checkTag()
}

// decode returns the first two YAML documents of a file. A document that the file does not have is zero.
func decode(content []byte) (documents [2]yaml.Node, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for i := range documents {
		err := decoder.Decode(&documents[i])
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return documents, err
		}
	}
	return documents, nil
}

// checkEncoding returns an error if a file is not UTF-8, or has a control character that is not allowed in YAML. The YAML library
// would not say in which line it is.
func (n node) checkEncoding(content []byte) error {
	n.Node = &yaml.Node{Line: 1}
	for at := 0; at < len(content); {
		r, size := utf8.DecodeRune(content[at:])
		switch {
		case r == utf8.RuneError && size == 1:
			return n.wrong("the file must be a text in UTF-8")
		case r == '\n':
			n.Line++
		case r == '\t', r == '\r', r == '\u0085':
		case unicode.IsControl(r), r == '\ufeff' && at > 0, r == '\ufffe', r == '\uffff':
			return n.wrong("the file has the character %U, which is not allowed", r)
		}
		at += size
	}
	return nil
}

var (
	// yamlLine matches the line number in an error of the YAML library, which has none for the first line.
	yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	// unknownAnchor matches an error of the YAML library that has a part of the file, but no line.
	unknownAnchor = regexp.MustCompile(`^yaml: unknown anchor '(.*)' referenced$`)
	// parserError matches the errors of the YAML library whose lines are counted from 0. Those of its scanner are counted from 1.
	// Source: parser.fail in its decode.go, and parserc.go.
	parserError = regexp.MustCompile(`^(did not find expected (key|'-' indicator|',' or|node content|<)|found (undefined tag handle|duplicate %|incompatible YAML))`)
)

// syntaxError returns an error of the YAML library with the file in front of the line, and without parts of the file.
func (n node) syntaxError(content []byte, err error) error {
	text := err.Error()
	if match := unknownAnchor.FindStringSubmatch(text); match != nil {
		alias := regexp.MustCompile(`\*` + regexp.QuoteMeta(match[1]) + `(?:[^\w-]|$)`).FindIndex(content)
		if alias != nil {
			n.Line += bytes.Count(content[:alias[0]], []byte("\n"))
		}
		return n.wrong("the alias has no anchor: put a text that begins with * in quotes")
	}
	match := yamlLine.FindStringSubmatch(text)
	text = strings.TrimPrefix(text, match[0])
	if line, err := strconv.Atoi(match[1]); err == nil {
		n.Line = line
		if parserError.MatchString(text) {
			n.Line++
		}
	}
	if blockError.MatchString(text) && len(content) <= maxSearched {
		n.Line = firstLineWith(text, content)
	}
	return n.wrong("%s", text+syntaxAdvice(text))
}

// blockError matches the errors of the YAML library whose line can be that of the beginning of a list or mapping, while the error
// is in a later line.
var blockError = regexp.MustCompile(`^(did not find expected (key|'-' indicator)|found a tab character that violates indentation)`)

// maxSearched is the maximum size of a file, in bytes, in which firstLineWith is called. It takes several times as long as reading
// the file.
const maxSearched = 256 << 10

// firstLineWith returns the line, counted from 1, in which the YAML library finds a blockError. The lines before it alone do not have
// this error, and those after it do not change it.
func firstLineWith(blockError string, content []byte) int {
	var ends []int
	for at, c := range content {
		if c == '\n' {
			ends = append(ends, at+1)
		}
	}
	return 1 + sort.Search(len(ends), func(i int) bool {
		_, err := decode(content[:ends[i]])
		return err != nil && strings.HasSuffix(err.Error(), blockError)
	})
}

// syntaxAdvice returns what to change after an error of the YAML library, beginning with a colon, or "".
func syntaxAdvice(text string) string {
	const column = "all keys of a mapping, and all elements of a list, must begin in the same column; a quotation mark may be missing in a line before"
	for _, advice := range []struct{ prefix, text string }{
		{"found a tab character", "indent with spaces"},
		{"found character that cannot start any token", "indent with spaces, not with tabs, and put a text that begins with @, ` or % in quotes"},
		{"did not find expected key", column},
		{"did not find expected '-' indicator", column},
		{"did not find expected ',' or", "a bracket or brace is not closed, or a comma is missing"},
		{"mapping values are not allowed", "check the indentation of this line, and that the line before has a space after its colon; put a text that contains a colon and a space in quotes"},
		{"could not find expected ':'", "a key needs a colon and a space after it; check the indentation of this line"},
		{"did not find expected alphabetic or numeric character", "put a text that begins with * or & in quotes"},
		{"found unexpected end of stream", "a quotation mark has no second one"},
	} {
		if strings.HasPrefix(text, advice.prefix) {
			return ": " + advice.text
		}
	}
	return ""
}
