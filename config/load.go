package config

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// maxFile bounds the configuration file.
const maxFile = 1 << 20

// Bytes is a TOML string such as "256MiB".
type Bytes int64

// UnmarshalText reads a size with one of the units B, KiB, MiB, GiB; an empty
// one is 0, which stands for the default.
func (n *Bytes) UnmarshalText(b []byte) error {
	s := string(b)
	if s == "" {
		*n = 0
		return nil
	}
	for _, u := range []struct {
		suffix string
		shift  int
	}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"B", 0}} {
		digits, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		v, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 32)
		if err != nil || v <= 0 {
			break
		}
		*n = Bytes(v << u.shift)
		return nil
	}
	return fmt.Errorf("%q is no size; write a whole number with B, KiB, MiB or GiB, for example \"256MiB\"", s)
}

func errDuration(b []byte) error {
	return fmt.Errorf("%q is no duration; write for example \"500ms\", \"5s\" or \"72h\"", b)
}

// Load reads and checks the file. Every error names the file and, where the
// fault has a place, line and column; several faults are all reported.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("configuration: %w", err)
	case info.IsDir():
		return nil, fmt.Errorf("configuration: %s is a folder; name the file", path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("configuration: %s is larger than %d bytes", path, maxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c, err := Parse(path, text)
	if err != nil {
		return nil, err
	}
	if err := checkFiles(c, newPlaces(path, string(text))); err != nil {
		return nil, err
	}
	return c, nil
}

// Parse checks a configuration text but not the files and folders that it
// names; name stands for the file in errors.
func Parse(name string, text []byte) (*Config, error) {
	var c Config
	dec := toml.NewDecoder(strings.NewReader(string(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return nil, place(name, err)
	}
	if err := check(&c, newPlaces(name, string(text))); err != nil {
		return nil, err
	}
	return &c, nil
}

// place puts file, line and column before each fault that the decoder found.
func place(name string, err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) {
		var all []error
		for i := range strict.Errors {
			e := &strict.Errors[i]
			row, col := e.Position()
			all = append(all, fmt.Errorf("%s:%d:%d: unknown key %q; see the commented reference file for what there is", name, row, col, strings.Join(e.Key(), ".")))
		}
		return errors.Join(all...)
	}
	var dec *toml.DecodeError
	if errors.As(err, &dec) {
		row, col := dec.Position()
		what := strings.TrimPrefix(dec.Error(), "toml: ")
		if key := strings.Join(dec.Key(), "."); key != "" {
			what = key + ": " + what
		}
		return fmt.Errorf("%s:%d:%d: %s", name, row, col, what)
	}
	return fmt.Errorf("%s: %w", name, err)
}
