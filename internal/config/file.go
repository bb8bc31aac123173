package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector/custom"
)

// file is the content of a configuration file and of its target_files.
type file struct {
	modules map[string]*Module // by name
	targets []*Target
	// fleet reports whether the file has the key targets or target_files, even without any target.
	fleet bool
	// entries are the user's own metrics, by name.
	entries map[string]*custom.Entry
	// warnings have the file and the line of what is allowed but should be changed.
	warnings []string
}

// fileOptions are the settings of the command line for a file.
type fileOptions struct {
	// expandEnvironment allows secrets of the form $NAME, which stand for environment variables.
	expandEnvironment bool
	// module is the module of the flags. It is the module "default" if the file does not have it.
	module *Module
	// givenFlags are the flags of the module that are on the command line. They are an error if the file has modules.default.
	givenFlags []string
}

// FileError is an error in the content of a configuration file. It has a line for each fault, with the file and the line number.
type FileError struct{ err error }

// Error implements error.
func (e *FileError) Error() string { return e.err.Error() }

// Faults returns the faults, of which the text of the error has one on each line.
func (e *FileError) Faults() []error {
	var faults []error
	for line := range strings.SplitSeq(e.Error(), "\n") {
		faults = append(faults, errors.New(line))
	}
	return faults
}

// loader reads a configuration file.
type loader struct {
	options fileOptions
	limits  limits
	modules map[string]*Module
	auths   map[string]*auth
	targets []*Target
	names   map[string]node // the names of targets
	files   map[string]bool // the files of target_files that have been read

	entries  map[string]*custom.Entry
	custom   map[string]*collector.Collector // of the entries, by name
	metrics  map[string]node                 // names of the metrics of the entries, without _total
	warnings []string
}

// loadFile reads a configuration file and its target_files. If the content is wrong, the error is a *FileError.
func loadFile(path string, options fileOptions) (*file, error) {
	content, err := readFile(path)
	if err != nil {
		return nil, err
	}
	l := &loader{
		options: options, modules: map[string]*Module{}, auths: map[string]*auth{}, names: map[string]node{}, files: map[string]bool{},
		entries: map[string]*custom.Entry{}, custom: map[string]*collector.Collector{}, metrics: map[string]node{},
	}
	root, err := parseYAML(path, content, &l.limits)
	if err != nil {
		return nil, &FileError{err}
	}
	if root.isEmpty() {
		return nil, &FileError{root.wrong("the file is empty")}
	}
	fleet, err := l.readRoot(root)
	if err != nil {
		return nil, &FileError{err}
	}
	return &file{l.modules, l.targets, fleet, l.entries, l.warnings}, nil
}

const (
	// maxFileSize is the maximum size of a file, in bytes. 20,000 targets need less. A file of this size can need 500 MB of memory.
	maxFileSize = 4 << 20
	// maxBytes is the maximum size of the files of target_files together, in bytes.
	maxBytes = 32 << 20
)

// readFile reads a regular file.
func readFile(path string) ([]byte, error) {
	file, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	content, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err == nil && len(content) > maxFileSize {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxFileSize)
	}
	return content, err
}

// openFile opens a regular file. It refuses named pipes, for which a reload could wait without end.
func openFile(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil { // os.OpenFile has the error, too
		if err := checkRegular(path, info); err != nil {
			return nil, err
		}
	}
	return openWithoutWaiting(path)
}

// openWithoutWaiting opens a regular file. It does not wait for a writer, even if the file has just been replaced by a named pipe.
func openWithoutWaiting(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the user's configuration names the file
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil {
		err = checkRegular(path, info)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// checkRegular returns an error if a file is not a regular file.
func checkRegular(path string, info fs.FileInfo) error {
	switch {
	case info.IsDir():
		return fmt.Errorf("%s is a directory, not a file", path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", path)
	}
	return nil
}

// readRoot reads the modules and the auths before the targets, which refer to them. fleet is described in file.
func (l *loader) readRoot(root node) (fleet bool, err error) {
	var modules, auths, targets, files, customMetrics node
	keep := func(dst *node) func(node) error {
		return func(n node) error {
			*dst = n
			return nil
		}
	}
	failed := []error{root.readFields(fields{"modules": keep(&modules), "auths": keep(&auths), "targets": keep(&targets), "target_files": keep(&files), "custom_metrics": keep(&customMetrics)})}
	if customMetrics.Node != nil {
		failed = append(failed, customMetrics.readMapping("of entries", l.readCustomMetrics))
	}
	if modules.Node != nil {
		failed = append(failed, modules.readMapping("of modules", l.readModule), l.checkFlags(modules))
	}
	if l.modules[defaultName] == nil {
		l.modules[defaultName] = l.options.module
	}
	if auths.Node != nil {
		failed = append(failed, auths.readMapping("of auths", l.readAuth))
	}
	if err := errors.Join(failed...); err != nil {
		return false, err // the targets may refer to what could not be read
	}
	if targets.Node != nil {
		failed = append(failed, l.readTargets(targets, true))
	}
	if files.Node != nil {
		failed = append(failed, files.readList(l.readTargetFiles))
	}
	return targets.Node != nil || files.Node != nil, errors.Join(failed...)
}

// checkFlags returns an error if both the file and the command line have settings of the module "default".
func (l *loader) checkFlags(modules node) error {
	if len(l.options.givenFlags) == 0 || l.modules[defaultName] == nil {
		return nil
	}
	return modules.wrong("the file has the module %s, so the command line must not have %s", defaultName, strings.Join(l.options.givenFlags, ", "))
}

// wildcards are the characters with a meaning in a pattern of target_files.
const wildcards = `*?[`

// readTargetFiles reads the files that a pattern of target_files matches. A pattern with wildcards may match no file. Like in a
// shell, a wildcard does not match a dot at the beginning of a name: it may be a temporary file of an editor, or a directory of a
// ConfigMap of Kubernetes.
func (l *loader) readTargetFiles(pattern node) error {
	text, err := pattern.text()
	if err != nil {
		return err
	}
	paths, err := pattern.glob(text)
	if err != nil {
		return err
	}
	var failed []error
	for _, path := range paths {
		if l.files[path] {
			continue // another pattern matches it too
		}
		l.files[path] = true
		if ended, err := pattern.ended(); ended {
			failed = append(failed, err)
			break
		}
		failed = append(failed, l.readTargetFile(pattern, path))
	}
	return errors.Join(failed...)
}

// glob returns the files that a pattern matches, sorted.
func (n node) glob(pattern string) ([]string, error) {
	if !strings.ContainsAny(pattern, wildcards) {
		return []string{n.path(pattern)}, nil
	}
	paths, err := n.matches(pattern)
	if err != nil {
		return nil, n.wrong("the pattern %q is not valid", pattern)
	}
	if err := n.checkReadable(filepath.Dir(pattern)); err != nil {
		return nil, n.wrong("%w", err)
	}
	return paths, nil
}

// matches returns the paths that a pattern matches, sorted.
func (n node) matches(pattern string) ([]string, error) {
	full := filepath.Clean(pattern)
	if !filepath.IsAbs(pattern) {
		full = filepath.Join(literal(filepath.Dir(n.file)), pattern)
	}
	paths, err := filepath.Glob(full)
	paths = slices.DeleteFunc(paths, func(path string) bool { return matchesDot(full, path) })
	slices.Sort(paths)
	return paths, err
}

// checkReadable returns an error if a directory that a pattern matches cannot be read. filepath.Glob finds nothing in such a
// directory, and all its targets would be gone.
func (n node) checkReadable(pattern string) error {
	if !strings.ContainsAny(pattern, wildcards) {
		return checkReadable(n.path(pattern))
	}
	if err := n.checkReadable(filepath.Dir(pattern)); err != nil {
		return err
	}
	paths, err := n.matches(pattern)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			continue
		}
		if err := checkReadable(path); err != nil {
			return err
		}
	}
	return nil
}

// checkReadable returns an error if a directory exists and cannot be read.
func checkReadable(dir string) error {
	if _, err := os.ReadDir(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// matchesDot reports whether a wildcard at the beginning of a name in a pattern matches a dot in the path.
func matchesDot(pattern, path string) bool {
	const separator = string(filepath.Separator)
	patterns, names := strings.Split(pattern, separator), strings.Split(path, separator)
	for i := range min(len(patterns), len(names)) {
		if strings.HasPrefix(names[i], ".") && strings.IndexAny(patterns[i], wildcards) == 0 {
			return true
		}
	}
	return false
}

// wildcard matches a character with a meaning in a pattern.
var wildcard = regexp.MustCompile(`[*?[\\]`)

// literal returns a pattern that matches only the directory with that name. Patterns on Windows cannot have literal wildcards.
func literal(dir string) string {
	if filepath.Separator == '\\' {
		return dir
	}
	return wildcard.ReplaceAllString(dir, `\$0`)
}

// readTargetFile reads a list of targets. pattern is the element of target_files that matches the file. A file without any value is
// an empty list.
func (l *loader) readTargetFile(pattern node, path string) error {
	content, err := readFile(path)
	if err != nil {
		return pattern.wrong("%w", err)
	}
	l.limits.bytes += len(content)
	list, err := parseYAML(path, content, &l.limits)
	if err != nil || list.isEmpty() {
		return err
	}
	return l.readTargets(list, false)
}
