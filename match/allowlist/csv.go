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
// first line of a file names them, in any order. Of the first six those of one
// match key suffice: issuer, type and number; signature; name and birth, which
// count together with each of the flights.
var CSVColumns = []string{
	"issuer", "type", "number", "signature", "name", "birth",
	"flights", "gates", "from", "until", "flags",
}

// Columns by their place in CSVColumns.
const (
	colIssuer = iota
	colType
	colNumber
	colSignature
	colName
	colBirth
	colFlights
	colGates
	colFrom
	colUntil
	colFlags
	csvColumns
)

// maxLine bounds one line of input.
const maxLine = 64 << 10

// CSVReader feeds a Builder from a CSV file. Lines end the row: a quoted
// field cannot hold a line break, so one stray quote costs one row and never
// swallows the rest of the file.
type CSVReader struct {
	// Zone is the zone of times that name none; nil rejects them.
	Zone *time.Location
	// Base is added to line numbers: several inputs share one range.
	Base int64

	columns [csvColumns]int // position in the file of each of CSVColumns; -1: absent
	width   int             // columns in the file
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
			b.Reject(c.Base+line, "row", "is longer than 65536 bytes")
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
		if line%(1<<16) == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
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
			b.Reject(c.Base+line, "row", err.Error())
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
		if c.columns[i] < 0 && i >= colFlights {
			return fmt.Errorf("line 1: the column %q is missing; the columns are %s", want, strings.Join(CSVColumns, ","))
		}
	}
	c.width = len(names)
	if !c.has(colIssuer, colType, colNumber) && !c.has(colSignature) && !c.has(colName, colBirth) {
		return errors.New("line 1: the columns name no document: issuer,type,number or signature or name,birth must be there")
	}
	return nil
}

// has says whether the file has all of the columns.
func (c *CSVReader) has(columns ...int) bool {
	return !slices.ContainsFunc(columns, func(i int) bool { return c.columns[i] < 0 })
}

// add turns the fields of a line into rows and adds them. Only errors that end
// the build come back.
func (c *CSVReader) add(b *Builder, fields []string, line int64) error {
	if len(fields) != c.width {
		b.Reject(c.Base+line, "row", fmt.Sprintf("has %d fields instead of %d", len(fields), c.width))
		return nil
	}
	row, err := c.row(fields)
	var field *FieldError
	if errors.As(err, &field) {
		b.Reject(c.Base+line, field.Field, field.Reason)
		return nil
	}
	if row.Signature != "" || row.Number != "" || row.Name+row.Birth == "" {
		return rejected(b.Add(row, c.Base+line))
	}
	if len(row.Flights) == 0 {
		b.Reject(c.Base+line, "flights", "are empty: without a number or signature a traveller is known on a flight only")
		return nil
	}
	for _, row.Flight = range row.Flights {
		if err := rejected(b.Add(row, c.Base+line)); err != nil {
			return err
		}
	}
	return nil
}

// rejected drops the error of a row that was rejected and reported.
func rejected(err error) error {
	var field *FieldError
	if errors.As(err, &field) {
		return nil
	}
	return err
}

// row reads the fields of a line.
func (c *CSVReader) row(fields []string) (row Row, err error) {
	get := func(column int) string {
		if c.columns[column] < 0 {
			return ""
		}
		return strings.TrimSpace(fields[c.columns[column]])
	}
	row.Set = c.set(get(colFlights), get(colGates))
	row.Document = Document{
		Issuer: get(colIssuer), Type: get(colType), Signature: get(colSignature), Name: get(colName), Birth: get(colBirth),
	}
	if row.Number, err = PlainNumber(get(colNumber)); err != nil {
		return row, err
	}
	if row.From, err = c.time("from", get(colFrom), false); err != nil {
		return row, err
	}
	if row.Until, err = c.time("until", get(colUntil), true); err != nil {
		return row, err
	}
	row.Answer, row.Priority, err = parseFlags(get(colFlags))
	return row, err
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
