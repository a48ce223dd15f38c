package kiosk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"time"
)

// Operator is who signs in on the staff page of every simulated kiosk.
const (
	Operator = "Simulated Officer"
	pin      = "135790"
)

// postWithin bounds one request.
const postWithin = 10 * time.Second

// Pages is a browser at the kiosk: the traveller's and the officer's.
type Pages struct {
	origin    string
	name, pin string
	client    *http.Client
}

// NewPages is a browser that knows the kiosk's address and an officer's name
// and PIN.
func NewPages(addr, name, pin string) *Pages {
	jar, _ := cookiejar.New(nil) // never fails without options
	return &Pages{origin: "http://" + addr, name: name, pin: pin, client: &http.Client{Jar: jar}}
}

// Origin is the address of the kiosk's screen.
func (p *Pages) Origin() string { return p.origin }

// Post sends an object; what the kiosk answers is the text of the error.
func (p *Pages) Post(ctx context.Context, path string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, postWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.origin+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Origin", p.origin)
	req.Header.Set("Content-Type", "application/json")
	res, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) // only for the message
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s: %s", path, res.Status, strings.TrimSpace(string(text)))
	}
	return nil
}

// SignIn signs the officer in.
func (p *Pages) SignIn(ctx context.Context) error {
	return p.Post(ctx, "/staff/login", map[string]string{"name": p.name, "pin": p.pin})
}

// Help presses the traveller's button.
func (p *Pages) Help(ctx context.Context) error { return p.Post(ctx, "/help", struct{}{}) }

// Resolve closes a referral in the officer's name.
func (p *Pages) Resolve(ctx context.Context, tx, outcome, reason string) error {
	return p.Post(ctx, "/staff/resolve", map[string]string{"tx": tx, "outcome": outcome, "reason": reason})
}

// Follow hands every event of a page to each, until the stream breaks or ctx
// ends.
func (p *Pages) Follow(ctx context.Context, path string, each func(data []byte)) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.origin+path, nil)
	if err != nil {
		return err
	}
	res, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, res.Status)
	}
	in := bufio.NewScanner(res.Body)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		if data, ok := bytes.CutPrefix(in.Bytes(), []byte("data: ")); ok {
			each(data)
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}
