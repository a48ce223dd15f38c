package pcsc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ebfe/scard"
)

// pick finds the one reader that fits.
func pick(pattern string, names []string) (string, error) {
	found := fitting(pattern, names)
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fault(pattern, "find", "it is not there; "+listing(names), "check its cable and its name")
	}
	return "", fault(pattern, "find", "several fit: "+quoted(found), "name one of them")
}

// fitting selects readers by name or pattern. An exact name wins: names hold
// brackets and digits, and one may be another's pattern.
func fitting(pattern string, names []string) []string {
	if slices.Contains(names, pattern) {
		return []string{pattern}
	}
	var found []string
	for _, n := range names {
		if fits(pattern, n) {
			found = append(found, n)
		}
	}
	return found
}

// fits matches * and ? and nothing else; path.Match would read the brackets in
// "[CCID Interface]" as a class.
func fits(pattern, name string) bool {
	// after is where to take up again when the characters behind the last *
	// do not fit: the * then swallows one more.
	star, after := -1, 0
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, after = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			after++
			p, n = star+1, after
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

func listing(names []string) string {
	if len(names) == 0 {
		return "there is no card reader"
	}
	return "there are: " + quoted(names)
}

func quoted(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(q, ", ")
}

// Readers names the card readers that are there. None is no error.
func Readers(ctx context.Context) ([]string, error) {
	var names []string
	err := briefly(ctx, "list readers", func(sc *scard.Context) (err error) {
		names, err = listReaders(sc)
		return err
	})
	return names, err
}

// FindCard waits until a card lies on a reader that fits the pattern ("*" fits
// all), and names that reader.
func FindCard(ctx context.Context, pattern string) (string, error) {
	var found string
	err := briefly(ctx, "wait for a card", func(sc *scard.Context) (err error) {
		found, err = findCard(ctx, sc, pattern)
		return err
	})
	var e *Error
	if errors.As(err, &e) && e.Op != "find" {
		e.Reader = pattern
	}
	return found, err
}

// briefly runs fn on a connection of its own.
func briefly(ctx context.Context, op string, fn func(*scard.Context) error) error {
	sc, _, err := dial(ctx)
	if err != nil {
		return failure("", op, err)
	}
	err = fn(sc)
	if !errors.Is(err, errHung) {
		hangUp(ctx, sc)
	}
	var ours *Error
	if err == nil || errors.As(err, &ours) {
		return err
	}
	return failure("", op, err)
}

func findCard(ctx context.Context, sc *scard.Context, pattern string) (string, error) {
	// Keeps the names of this wait apart from any other's; see Reader.state.
	unique := "\x00" + rand.Text()
	for {
		names, err := listReaders(sc)
		if err != nil {
			return "", err
		}
		fit := fitting(pattern, names)
		states := []scard.ReaderState{{Reader: notification + unique}}
		for _, n := range fit {
			states = append(states, scard.ReaderState{Reader: n + unique})
		}
		err = changes(ctx, sc, states, func(s scard.ReaderState) bool {
			return s.EventState&scard.StatePresent != 0
		})
		for i, n := range fit {
			if states[i+1].EventState&scard.StatePresent != 0 && err == nil {
				return n, nil
			}
		}
		if err != nil && !errors.Is(err, scard.ErrTimeout) && !errors.Is(err, scard.ErrUnknownReader) {
			return "", err
		}
	}
}

// changes waits until a reader (not the first, which notifies) is as wanted,
// or until the list of readers may have changed.
func changes(ctx context.Context, sc *scard.Context, states []scard.ReaderState, wanted func(scard.ReaderState) bool) error {
	for {
		if err := waitChange(ctx, sc, states, renewMissing); err != nil {
			return err
		}
		if states[0].EventState&scard.StateChanged != 0 || slices.ContainsFunc(states[1:], wanted) {
			return nil
		}
		for i := range states {
			states[i].CurrentState = states[i].EventState &^ scard.StateChanged
			if states[i].EventState&scard.StateUnknown != 0 {
				return nil
			}
		}
	}
}
