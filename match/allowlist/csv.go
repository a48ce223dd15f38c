package allowlist

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// CSVColumns are the columns of the input, in the order of the help text. The
// first line of a file names them, in any order.
var CSVColumns = []string{"issuer", "type", "number", "flights", "gates", "from", "until", "flags"}

// maxLine bounds one line of input.
const maxLine = 64 << 10

// CSVReader feeds a Builder from a CSV file. Lines end the row: a quoted
// field cannot hold a line break, so one stray quote costs one row and never
// swallows the rest of the file.
type CSVReader struct {
	// Zone is the zone of times that name none; nil rejects them.
	Zone *time.Location
	// Progress is called now and then with the number of lines read.
	Progress func(lines int64)

	columns [8]int // position in the file of each of CSVColumns
	sets    map[string]Set
}

// Read adds every row to b. Rejected rows are reported by b; an error means
// that the file as a whole cannot be used.
func (c *CSVReader) Read(ctx context.Context, in io.Reader, b *Builder) error {
	c.sets = map[string]Set{}
	r := bufio.NewReaderSize(in, maxLine)
	var fields []string
	for line := int64(1); ; line++ {
		raw, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			if line == 1 {
				return errors.New("line 1 is longer than 65536 bytes: is this a CSV file?")
			}
			b.Reject(line, "row", "is longer than 65536 bytes")
			if err := skipLine(r); err != nil {
				return ignoreEOF(err)
			}
			continue
		}
		if err != nil && (!errors.Is(err, io.EOF) || len(raw) == 0) {
			if line == 1 && errors.Is(err, io.EOF) {
				return errors.New("the file is empty: its first line must name the columns " + strings.Join(CSVColumns, ","))
			}
			return ignoreEOF(err)
		}
		if line%(1<<16) == 0 {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if c.Progress != nil {
				c.Progress(line)
			}
		}
		text := string(bytes.TrimRight(raw, "\r\n"))
		if line == 1 {
			if err := c.header(text); err != nil {
				return err
			}
			continue
		}
		if strings.TrimSpace(text) == "" {
			continue
		}
		if fields, err = splitCSV(fields[:0], text); err != nil {
			b.Reject(line, "row", err.Error())
			continue
		}
		if err := c.add(b, fields, line); err != nil {
			return err
		}
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// skipLine reads to the end of a line that was too long.
func skipLine(r *bufio.Reader) error {
	for {
		_, err := r.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// header finds the columns.
func (c *CSVReader) header(text string) error {
	names, err := splitCSV(nil, strings.TrimPrefix(text, "\ufeff"))
	if err != nil {
		return fmt.Errorf("line 1 %w", err)
	}
	for i := range names {
		names[i] = strings.ToLower(strings.TrimSpace(names[i]))
		if !slices.Contains(CSVColumns, names[i]) {
			// Not repeated: a file without its first line begins with a traveller.
			return fmt.Errorf("line 1, column %d is none of %s; the first line names the columns", i+1, strings.Join(CSVColumns, ","))
		}
		if slices.Contains(names[:i], names[i]) {
			return fmt.Errorf("line 1, column %d: %q stands there twice", i+1, names[i])
		}
	}
	for i, want := range CSVColumns {
		c.columns[i] = slices.Index(names, want)
		if c.columns[i] < 0 {
			return fmt.Errorf("line 1: the column %q is missing; the columns are %s", want, strings.Join(CSVColumns, ","))
		}
	}
	return nil
}

// add turns the fields of a line into a row and adds it. Only errors that end
// the build come back.
func (c *CSVReader) add(b *Builder, fields []string, line int64) error {
	if len(fields) != len(CSVColumns) {
		b.Reject(line, "row", fmt.Sprintf("has %d fields instead of %d", len(fields), len(CSVColumns)))
		return nil
	}
	get := func(column int) string { return strings.TrimSpace(fields[c.columns[column]]) }
	row := Row{Document: Document{Issuer: get(0), Type: get(1), Number: get(2)}, Set: c.set(get(3), get(4))}
	var err error
	if row.From, err = c.time("from", get(5), false); err == nil {
		if row.Until, err = c.time("until", get(6), true); err == nil {
			row.Answer, row.Priority, err = parseFlags(get(7))
		}
	}
	var field *FieldError
	if errors.As(err, &field) {
		b.Reject(line, field.Field, field.Reason)
		return nil
	}
	if err := b.Add(row, line); !errors.As(err, &field) {
		return err
	}
	return nil
}

// maxRemembered bounds the memory for texts of sets that were split already.
const maxRemembered = 1 << 16

func (c *CSVReader) set(flights, gates string) Set {
	key := flights + "\x00" + gates
	if s, ok := c.sets[key]; ok {
		return s
	}
	s := Set{Flights: splitNames(flights), Gates: splitNames(gates)}
	if len(c.sets) == maxRemembered {
		clear(c.sets)
	}
	c.sets[strings.Clone(key)] = s
	return s
}

func splitNames(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.Clone(s), ";")
}

// time reads a moment with offset, a moment without one where a zone is
// given, or a whole day.
func (c *CSVReader) time(field, s string, end bool) (time.Time, error) {
	if s == "" {
		return time.Time{}, fieldError(field, "is empty")
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if c.Zone == nil {
			return t, fieldError(field, "names no zone: write it with an offset like +07:00 or give --zone")
		}
		day := t.Day()
		if end && layout == time.DateOnly {
			day++ // the whole day is inside
		}
		return time.Date(t.Year(), t.Month(), day, t.Hour(), t.Minute(), t.Second(), 0, c.Zone), nil
	}
	return time.Time{}, fieldError(field, "is no possible date or time like 2026-03-01T14:30:00+07:00")
}

// parseFlags reads one of allow, refer and refuse, and perhaps priority.
func parseFlags(s string) (answer Answer, priority bool, err error) {
	if s == "" {
		return 0, false, fieldError("flags", "are empty: say allow, refer or refuse")
	}
	for _, word := range strings.Split(strings.ToLower(s), ";") {
		var a Answer
		switch strings.TrimSpace(word) {
		case "allow":
			a = Allow
		case "refer":
			a = Refer
		case "refuse":
			a = Refuse
		case "priority":
			if priority {
				return 0, false, fieldError("flags", "say priority twice")
			}
			priority = true
			continue
		default:
			return 0, false, fieldError("flags", "hold a word that is none of allow, refer, refuse, priority")
		}
		if answer != 0 {
			return 0, false, fieldError("flags", "hold more than one of allow, refer and refuse")
		}
		answer = a
	}
	if answer == 0 {
		return 0, false, fieldError("flags", "lack allow, refer or refuse")
	}
	return answer, priority, nil
}

// splitCSV splits one line at commas; a field may be quoted, with a doubled
// quote for a quote inside.
func splitCSV(fields []string, line string) ([]string, error) {
	for {
		if !strings.HasPrefix(line, `"`) {
			field, rest, more := strings.Cut(line, ",")
			if strings.Contains(field, `"`) {
				return fields, errors.New("has a quote in the middle of a field")
			}
			fields = append(fields, field)
			if !more {
				return fields, nil
			}
			line = rest
			continue
		}
		field, rest, err := unquote(line[1:])
		if err != nil {
			return fields, err
		}
		fields = append(fields, field)
		if rest == "" {
			return fields, nil
		}
		if rest[0] != ',' {
			return fields, errors.New("has text behind a closing quote")
		}
		line = rest[1:]
	}
}

// unquote reads up to the closing quote.
func unquote(s string) (field, rest string, err error) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, `"`)
		if !found {
			return "", "", errors.New("has an open quote")
		}
		b.WriteString(before)
		if !strings.HasPrefix(after, `"`) {
			return b.String(), after, nil
		}
		b.WriteByte('"')
		s = after[1:]
	}
}
