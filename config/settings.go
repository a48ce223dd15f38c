package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Setting is a text of pushed settings: TOML with keys of this file's format.
type Setting struct {
	Name string // in errors
	Text []byte
}

// pushable are the tables and keys that central may set. What belongs to the
// machine (devices, folders, addresses, keys, operators) it may not.
func pushable() map[string][]string {
	return map[string][]string{
		"policy": nil, "timing": nil, "log": nil, "hours": nil, "messages": nil, // whole tables
		"record": {"level", "keep_days"},
		"staff":  {"reasons"},
		"face":   {"legal_basis", "min_age", "attack", "challenge", "attack_score", "consent", "limit"},
		"update": {"every", "age", "freeze"},
	}
}

// WithSettings reads and checks the file with pushed settings over it; a later
// one goes before an earlier one. Without any it is Load.
func WithSettings(path string, settings ...Setting) (*Config, error) {
	if len(settings) == 0 {
		return Load(path)
	}
	if _, err := Load(path); err != nil {
		return nil, err // its faults have places there
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	all := map[string]any{}
	if err := toml.Unmarshal(text, &all); err != nil {
		return nil, place(path, err)
	}
	names := []string{path}
	for _, s := range settings {
		over := map[string]any{}
		if err := toml.Unmarshal(s.Text, &over); err != nil {
			return nil, place(s.Name, err)
		}
		if err := mayPush(s.Name, over); err != nil {
			return nil, err
		}
		merge(all, over)
		names = append(names, s.Name)
	}
	merged, err := toml.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	name := strings.Join(names, " with ")
	c, err := Parse(name, merged)
	if err != nil {
		return nil, err
	}
	return c, checkFiles(c, newPlaces(name, string(merged)))
}

func mayPush(name string, over map[string]any) error {
	var faults []error
	for _, table := range slices.Sorted(maps.Keys(over)) {
		keys, ok := pushable()[table]
		in, isTable := over[table].(map[string]any)
		if !ok || !isTable {
			faults = append(faults, fmt.Errorf("%s: %s may not be set by central; write it into the kiosk's own file", name, table))
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(in)) {
			if keys != nil && !slices.Contains(keys, key) {
				faults = append(faults, fmt.Errorf("%s: %s.%s may not be set by central; write it into the kiosk's own file", name, table, key))
			}
		}
	}
	return errors.Join(faults...)
}

// merge puts over into all: tables key by key, everything else as a whole.
func merge(all, over map[string]any) {
	for key, v := range over {
		in, isTable := v.(map[string]any)
		old, had := all[key].(map[string]any)
		if isTable && had {
			merge(old, in)
			continue
		}
		all[key] = v
	}
}
