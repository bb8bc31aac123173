package config

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

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

// Unwrap returns the error of the content.
func (e *FileError) Unwrap() error { return e.err }

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
	modules map[string]*Module
	auths   map[string]*auth
	targets []*Target
	names   map[string]node // the names of targets

	entries  map[string]*custom.Entry
	custom   map[string]*collector.Collector // of the entries, by name
	metrics  map[string]node                 // names of the metrics of the entries, without _total
	warnings []string
}

// loadFile reads a configuration file and its target_files. If the content is wrong, the error is a *FileError.
func loadFile(path string, options fileOptions) (*file, error) {
	root, err := readYAML(path)
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, err
	}
	if err != nil {
		return nil, &FileError{err}
	}
	l := &loader{
		options: options, modules: map[string]*Module{}, auths: map[string]*auth{}, names: map[string]node{},
		entries: map[string]*custom.Entry{}, custom: map[string]*collector.Collector{}, metrics: map[string]node{},
	}
	fleet, err := l.readRoot(root)
	if err != nil {
		return nil, &FileError{err}
	}
	return &file{l.modules, l.targets, fleet, l.entries, l.warnings}, nil
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

// readTargetFiles reads the files that a pattern of target_files matches. A pattern with wildcards may match no file.
func (l *loader) readTargetFiles(pattern node) error {
	text, err := pattern.text()
	if err != nil {
		return err
	}
	paths, err := filepath.Glob(pattern.path(text))
	if err != nil {
		return pattern.wrong("the pattern %q is not valid", text)
	}
	if len(paths) == 0 && !strings.ContainsAny(text, `*?[`) {
		return pattern.wrong("there is no file %s", pattern.path(text))
	}
	slices.Sort(paths)
	var failed []error
	for _, path := range paths {
		list, err := readYAML(path)
		switch {
		case errors.Is(err, errEmpty): // as programs write it that have no targets now
			continue
		case errors.As(err, new(*fs.PathError)):
			err = pattern.wrong("%w", err)
		case err == nil:
			err = l.readTargets(list, false)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}
