package web

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
)

// CameraSink takes the pictures of the kiosk page's own camera; drivers/camera
// has it. Changes has one reader: this server.
type CameraSink interface {
	// Offer takes one JPEG picture; it copies it.
	Offer(frame []byte) error
	// Changes tells when the camera shall go on or off.
	Changes() <-chan bool
	// Lost says that the page left or has no camera: what comes later does
	// not belong to the attempt.
	Lost()
}

// live pairs the agent with the one traveller page that has a picture: its
// own camera's, sent to the sink, or the agent's, shown as a mirror.
//
// The page gets a secret that is fresh at each start of the agent, once. Every
// connection then shows a number that was not used before, and its HMAC: what
// was overheard opens nothing. One page at a time.
type live struct {
	sink CameraSink // nil: the agent owns the camera, the page shows it
	log  *slog.Logger

	mu      sync.Mutex // guards all below
	secret  []byte
	handed  bool   // the secret was given out
	used    uint64 // the highest number that was shown
	page    *livePage
	attempt string // names the running attempt; empty while the camera is off
	last    string // the attempt before
	problem string // what the page's browser says of its camera
}

// livePage is one connected page. Its writer alone writes to the socket.
type livePage struct {
	notes  chan note   // short messages, in order
	frames chan []byte // the newest picture for the mirror
	cancel context.CancelFunc
}

// note is what the agent tells the page.
type note struct {
	On  string `json:"on,omitempty"` // the attempt that pictures shall be marked with
	Off bool   `json:"off,omitempty"`
}

func newLive(sink CameraSink, log *slog.Logger) *live {
	l := &live{sink: sink, log: log}
	l.renew()
	return l
}

// renew makes a new secret, with the lock held or before anybody has l.
func (l *live) renew() {
	l.secret = []byte(rand.Text())
	l.handed, l.used = false, 0
}

// Reasons why a page is not connected.
var (
	errHanded   = errors.New("another page has the camera already; an operator can let this one connect anew on the staff page")
	errNotOurs  = errors.New("this page may not use the camera")
	errOnePage  = errors.New("another page is connected")
	errMidway   = errors.New("an attempt is running; try again when it is over")
	errNoCamera = errors.New("no camera is set up")
)

// hand gives the secret out: once for a page camera, whose pictures decide;
// for a mirror, whose page only shows, whenever no page is connected.
func (l *live) hand() (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.sink != nil && l.handed:
		l.log.Warn("a second page asked for the camera and was refused")
		return "", errHanded
	case l.sink == nil && l.page != nil:
		return "", errOnePage
	case l.sink == nil:
		l.renew()
	}
	l.handed = true
	return string(l.secret), nil
}

// proofOf is what a page shows for its n-th connection.
func proofOf(secret string, n uint64) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte("camera/v1 " + strconv.FormatUint(n, 10)))
	return strconv.FormatUint(n, 10) + "." + hex.EncodeToString(m.Sum(nil))
}

// admit checks what a page shows and makes it the one page.
func (l *live) admit(proof string, cancel context.CancelFunc) (*livePage, error) {
	num, _, _ := strings.Cut(proof, ".")
	n, err := strconv.ParseUint(num, 10, 32)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil, !l.handed, n <= l.used, subtle.ConstantTimeCompare([]byte(proof), []byte(proofOf(string(l.secret), n))) != 1:
		l.log.Warn("a page without the camera's secret was refused")
		return nil, errNotOurs
	case l.page != nil:
		return nil, errOnePage
	case l.sink != nil && l.attempt != "":
		return nil, errMidway
	}
	l.used = n
	l.page = &livePage{notes: make(chan note, 8), frames: make(chan []byte, 1), cancel: cancel}
	l.problem = ""
	if l.attempt != "" {
		l.page.notes <- note{On: l.attempt}
	}
	return l.page, nil
}

// leave ends a page's connection, and with it the attempt that it fed.
func (l *live) leave(p *livePage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.page == p {
		l.page = nil
		l.lose()
	}
	select {
	case b := <-p.frames:
		clear(b)
	default:
	}
}

// lose tells the sink that its attempt has no page any more.
func (l *live) lose() {
	if l.sink != nil && l.attempt != "" {
		l.sink.Lost()
	}
}

// run follows the page camera's changes until ctx ends.
func (l *live) run(ctx context.Context) {
	if l.sink == nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case on := <-l.sink.Changes():
			l.turn(on)
		}
	}
}

// turn switches an attempt on or off.
func (l *live) turn(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.attempt != "" {
		l.last, l.attempt = l.attempt, ""
		l.tell(note{Off: true})
	}
	if !on {
		return
	}
	l.attempt = rand.Text()[:attemptLen]
	if l.page == nil {
		l.lose()
		return
	}
	l.tell(note{On: l.attempt})
}

// attemptLen is the length of the mark in front of every picture.
const attemptLen = 16

// tell hands the page a note; one that takes none is dropped.
func (l *live) tell(n note) {
	if l.page == nil {
		return
	}
	select {
	case l.page.notes <- n:
	default:
		l.page.cancel()
	}
}

// offer passes a page's picture on. Pictures of the attempt before may still
// be under way; any other mark is not from our page.
func (l *live) offer(msg []byte) error {
	if len(msg) < attemptLen {
		return errNotOurs
	}
	l.mu.Lock()
	sink, mark := l.sink, string(msg[:attemptLen])
	now, before := mark == l.attempt, mark == l.last
	l.mu.Unlock()
	switch {
	case sink == nil || !now && !before:
		return errNotOurs
	case before:
		return nil
	}
	if err := sink.Offer(msg[attemptLen:]); err != nil {
		return err
	}
	l.mu.Lock()
	l.problem = ""
	l.mu.Unlock()
	return nil
}

// complain keeps what the page's browser says of its camera.
func (l *live) complain(problem string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problem = problem
	l.log.Warn("the kiosk page has no camera", "problem", problem)
	l.lose()
}

// mirror shows a picture of the agent's camera; nil when it went off.
func (l *live) mirror(jpeg []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case jpeg == nil && l.attempt != "":
		l.attempt = ""
		l.tell(note{Off: true})
		return
	case jpeg == nil:
		return
	case l.attempt == "":
		l.attempt = rand.Text()[:attemptLen]
		l.tell(note{On: l.attempt})
	}
	if l.page == nil {
		clear(jpeg)
		return
	}
	select {
	case old := <-l.page.frames:
		clear(old)
	default:
	}
	l.page.frames <- jpeg
}

// state says why the page's camera cannot be used; empty when it can, or when
// the agent owns the camera.
func (l *live) state() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.sink == nil:
		return ""
	case l.page == nil:
		return "no kiosk page is connected with its camera"
	case l.problem != "":
		return "the kiosk's browser has no camera: " + l.problem
	}
	return ""
}

// rearm lets a page connect anew: the one there was is cut off.
func (l *live) rearm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renew()
	if l.page != nil {
		l.page.cancel()
		l.page = nil
		l.lose()
	}
}
