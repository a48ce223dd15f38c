package main

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

	"gateagent/gate"
)

// view is what the staff page shows, as the kiosk sends it (gate.View, whose
// outcome is a word here).
type view struct {
	Tx      string           `json:"tx"`
	Stage   gate.Stage       `json:"stage"`
	Step    string           `json:"step"`
	Outcome string           `json:"outcome"`
	Reasons []gate.Code      `json:"reasons"`
	Checks  []gate.Check     `json:"checks"`
	List    string           `json:"list"`
	Passage string           `json:"passage"`
	Timing  map[string]int64 `json:"timing_ms"`
	Help    bool             `json:"help"`
	Face    *gate.FaceView   `json:"face"`
	// FaceResult counts once the transaction is decided.
	FaceResult *faceShown `json:"face_result"`
	Open       []struct {
		Tx string `json:"tx"`
	} `json:"open"`
	Notices    []gate.Notice `json:"notices"`
	ListStatus struct {
		Present bool   `json:"present"`
		Problem string `json:"problem"`
	} `json:"list_status"`
	QueueDepth int  `json:"queue_depth"`
	UplinkUp   bool `json:"uplink_up"`

	seen time.Time // when it reached us
}

// faceShown is what staff see of a comparison (gate.FaceResult, whose verdict
// is a word here).
type faceShown struct {
	Verdict   string    `json:"verdict"`
	Code      gate.Code `json:"code"`
	Score     float64   `json:"score"`
	Threshold float64   `json:"threshold"`
	Pack      string    `json:"pack"`
	Admits    bool      `json:"admits"`
	PAD       float64   `json:"pad"`
	Frames    int       `json:"frames"`
	Quality   struct {
		Overall float64 `json:"overall"`
	} `json:"quality"`
}

// decided says that the transaction's outcome is on the screen.
func (v view) decided() bool {
	switch v.Stage {
	case gate.StageAdmitted, gate.StageSeeStaff, gate.StageTryAgain, gate.StageHelpComing:
		return true
	}
	return false
}

func (v view) open(tx string) bool {
	for _, r := range v.Open {
		if r.Tx == tx {
			return true
		}
	}
	return false
}

// pages is a browser on the kiosk: the traveller's finger and the officer.
type pages struct {
	origin   string
	name     string
	pin      string
	client   *http.Client
	views    chan view
	failures chan error // why the stream of views broke, once
}

func newPages(addr, name, pin string) *pages {
	jar, _ := cookiejar.New(nil) // never fails without options
	return &pages{
		origin: "http://" + addr, name: name, pin: pin,
		client: &http.Client{Jar: jar},
		views:  make(chan view, 1024), failures: make(chan error, 1),
	}
}

// postWithin bounds one request to the kiosk's pages.
const postWithin = 8 * time.Second

func (p *pages) post(ctx context.Context, path string, body any) error {
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
		return fmt.Errorf("kiosk page %s: %s: %s", path, res.Status, strings.TrimSpace(string(text)))
	}
	return nil
}

// login signs the officer in.
func (p *pages) login(ctx context.Context) error {
	return p.post(ctx, "/staff/login", map[string]string{"name": p.name, "pin": p.pin})
}

// help presses the traveller's button.
func (p *pages) help(ctx context.Context) error { return p.post(ctx, "/help", struct{}{}) }

// resolve closes a referral in the officer's name.
func (p *pages) resolve(ctx context.Context, tx, outcome, reason string) error {
	return p.post(ctx, "/staff/resolve", map[string]string{"tx": tx, "outcome": outcome, "reason": reason})
}

// follow reads the staff page's events until ctx ends. A session that idled
// out is opened again.
func (p *pages) follow(ctx context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		err := p.stream(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) < time.Second {
			p.failures <- fmt.Errorf("the kiosk's staff page broke off: %w", err)
			return
		}
		if err := p.login(ctx); err != nil {
			p.failures <- err
			return
		}
	}
}

func (p *pages) stream(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.origin+"/staff/events", nil)
	if err != nil {
		return err
	}
	res, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("events: %s", res.Status)
	}
	in := bufio.NewScanner(res.Body)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		data, ok := strings.CutPrefix(in.Text(), "data: ")
		if !ok {
			continue
		}
		var v view
		if err := json.Unmarshal([]byte(data), &v); err != nil {
			return fmt.Errorf("events: %w", err)
		}
		v.seen = time.Now()
		select {
		case p.views <- v:
		case <-ctx.Done():
			return nil
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}
