package config

import (
	"fmt"
	"strings"
)

// places finds where a key stands in the text, for errors that the decoder
// cannot see (a value out of range, a file that is not there).
type places struct {
	name  string
	lines []string
}

func newPlaces(name, text string) *places { return &places{name, strings.Split(text, "\n")} }

// errorf makes an error at table.key (the n-th table of that name, from 0).
// Where the key is missing it points at the table, or at line 1.
func (p *places) errorf(table string, n int, key, format string, args ...any) error {
	row, col := p.find(table, n, key)
	what := table
	if key != "" {
		what += "." + key
	}
	return fmt.Errorf("%s:%d:%d: %s: %s", p.name, row, col, what, fmt.Sprintf(format, args...))
}

func (p *places) find(table string, n int, key string) (row, col int) {
	row, col = 1, 1
	in, seen := false, -1
	for i, line := range p.lines {
		trim := strings.TrimSpace(line)
		if strings.HasPrefix(trim, "[") {
			head := strings.Trim(strings.SplitN(trim, "#", 2)[0], "[] \t")
			in = head == table
			if in {
				seen++
				in = seen == n
			}
			if in {
				row, col = i+1, strings.Index(line, "[")+1
			}
			continue
		}
		name, _, ok := strings.Cut(trim, "=")
		if in && ok && key != "" && strings.TrimSpace(name) == key {
			return i + 1, strings.Index(line, key) + 1
		}
	}
	return row, col
}
