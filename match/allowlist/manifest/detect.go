package manifest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
)

// Format is a format of input.
type Format string

// The formats. Auto looks at the content.
const (
	Auto      Format = "auto"
	CSV       Format = "csv"
	Telegrams Format = "pnl"
	PAXLST    Format = "paxlst"
)

// ParseFormat reads the name of a format.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case Auto, CSV, Telegrams, PAXLST:
		return f, nil
	case "adl":
		return Telegrams, nil
	}
	return "", errors.New("no format is called so: auto, csv, pnl (ADLs too) or paxlst")
}

// sniffed is how much of an input decides about its format: envelopes of
// transports are shorter.
const sniffed = 64 << 10

var (
	// interchangeStart finds a service string advice with its UNB behind it, or
	// a UNB alone (ISO 9735 sections 5 and 7).
	interchangeStart = regexp.MustCompile(`UNA[[:punct:] \x1c-\x1f]{6}[\r\n]*UNB|UNB[[:punct:]\x1c-\x1f](UNO[A-Z]|IAT[AB])`)
	telegramStart    = regexp.MustCompile(`(?m)^[\x01-\x1f ]*(PNL|ADL)[ \r]*$`)
)

// detect tells the format from the beginning of an input.
func detect(in *bufio.Reader) (Format, error) {
	head, err := in.Peek(sniffed)
	if len(head) == 0 && errors.Is(err, io.EOF) {
		return "", errors.New("the file is empty")
	}
	if len(head) < sniffed && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read: %w", err)
	}
	first, _, _ := bytes.Cut(head, []byte("\n"))
	switch {
	case interchangeStart.Match(head):
		return PAXLST, nil
	case telegramStart.Match(head):
		return Telegrams, nil
	case bytes.IndexByte(first, ',') >= 0:
		return CSV, nil
	}
	return "", errors.New("neither CSV (no comma in line 1) nor telegrams (no line PNL or ADL) nor an interchange (no UNB); --format says what it is")
}
