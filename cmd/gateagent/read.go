package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateagent/drivers/chip"
	"gateagent/drivers/pcsc"
	"gateagent/drivers/scan"
	"gateagent/gate"
	"gateagent/internal/clock"
	"gateagent/match/document"
)

const (
	// readLimit is how long `read` may take beyond the wait for a card,
	// retries included.
	readLimit = 15 * time.Second
	// readTail is the part of it that is kept for giving the card back.
	readTail = time.Second
	// leastWait is what looking for a card takes that lies there already.
	leastWait = 500 * time.Millisecond
	// powerWithin bounds the time from a card's detection to its connection.
	powerWithin = 5 * time.Second
)

// maxInput bounds what "-" reads from standard input.
const maxInput = 4096

// readOptions are the flags of `gateagent read`.
type readOptions struct {
	reader, can, mrz, qr   string
	trust, at, runtime     string
	state                  string
	holdover               time.Duration
	wait                   time.Duration
	requireCRL, full       bool
	personal, json, shared bool
}

func readCommand() *cobra.Command {
	var o readOptions
	cmd := &cobra.Command{
		Use:   "read (--can N | --mrz TEXT | --qr TEXT)",
		Short: "Read one document that lies on the reader and judge it",
		Long: `read opens one chip document with the number printed on its front (--can), its
machine readable lines (--mrz, lines separated by a newline or a slash) or the
text of its QR code (--qr), proves it by the default gate profile and prints
the report. "-" as a value reads it from standard input, since arguments are
visible to other users.

  gateagent read --can 123457 --trust /etc/gateagent/trust
  gateagent read --mrz - --json < lines.txt

Exit status: 0 successful, 2 failed, 3 undetermined, 4 aborted, 1 when it
could not be tried (usage, no reader, no card in time).`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := noCoreDumps(); err != nil {
				return err
			}
			return o.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.reader, "reader", "*", "name of the reader; * stands for any characters")
	f.StringVar(&o.can, "can", "", "card access `number`, six digits, or -")
	f.StringVar(&o.mrz, "mrz", "", "machine readable `text`, or -")
	f.StringVar(&o.qr, "qr", "", "`text` of the Vietnamese ID card's QR code, or -")
	f.StringVar(&o.trust, "trust", "", "`folder` of CSCA certificates, master lists, CRLs and defect lists")
	f.StringVar(&o.at, "at", "", "trusted `time` (RFC 3339), or \"untrusted\"; default: the kernel's, while it is synchronised, then what a lane here knows")
	f.StringVar(&o.runtime, "runtime", defaultRuntime(), "`folder` of the lock files of lanes")
	f.StringVar(&o.state, "state", "/var/lib/gateagent", "state `folder` of a lane on this machine, which knows the time while the kernel does not")
	f.DurationVar(&o.holdover, "max-holdover", 72*time.Hour, "how long that is trusted")
	f.DurationVar(&o.wait, "wait", 10*time.Second, "how long to wait for a card")
	f.BoolVar(&o.requireCRL, "require-crl", false, "a current revocation list is mandatory")
	f.BoolVar(&o.full, "full", false, "read every readable data group")
	f.BoolVar(&o.personal, "personal", false, "print the holder's data")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	f.BoolVar(&o.shared, "shared", false, "let other programs use the card meanwhile")
	return cmd
}

func (o *readOptions) run(ctx context.Context, in io.Reader, out, errs io.Writer) error {
	limit := time.Now().Add(readLimit)
	scanned, err := o.scan(in)
	if err != nil {
		return err
	}
	defer scanned.Wipe()
	at, err := o.time()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: slog.LevelWarn}))
	trust := &document.Trust{}
	if o.trust != "" {
		if trust, err = document.LoadTrust(o.trust, log); err != nil {
			return err
		}
	}
	name, waited, err := o.findCard(ctx)
	if err != nil {
		return err
	}
	limit = limit.Add(waited)
	ctx, cancel := context.WithDeadline(ctx, limit.Add(-readTail))
	defer cancel()
	held, release, err := o.connect(ctx, name)
	if err != nil && !errors.Is(err, gate.ErrCardGone) {
		return err
	}
	var rep *report
	if err != nil {
		rep = newReport(gate.NotOpened(scanned, err), o.profile(), 0, o.full, o.personal)
	} else {
		rep = o.inspectWith(ctx, held.Chip, held.Reopen, document.NewJudge(trust).NewCase(at), scanned)
	}
	err = rep.print(out, o.json)
	release(limit)
	if err != nil {
		return err
	}
	return rep.exit()
}

// inspect reads and judges what answers at t.
func (o *readOptions) inspect(ctx context.Context, t gate.Transmitter, kase gate.Case, scanned gate.Scan) *report {
	session := openChip(t)
	defer session.Close()
	return o.inspectWith(ctx, session, nil, kase, scanned)
}

func openChip(t gate.Transmitter) gate.Chip { return chip.New(t, chip.Options{}) }

// inspectWith reads and judges by a session, and by others where the document
// is lifted and put back.
func (o *readOptions) inspectWith(ctx context.Context, session gate.Chip, reopen func(context.Context) (gate.Chip, error), kase gate.Case, scanned gate.Scan) *report {
	begin := time.Now()
	defer kase.Wipe()
	result := gate.Inspect(ctx, session, kase, scanned, gate.InspectOptions{Full: o.full, Reopen: reopen})
	return newReport(result, o.profile(), time.Since(begin), o.full, o.personal)
}

// profile is the default gate profile, with the demand for revocation lists.
func (o *readOptions) profile() gate.Profile {
	if o.requireCRL {
		return gate.DefaultProfile("*")
	}
	return gate.DefaultProfile()
}

// scan makes the access key of exactly one of --can, --mrz and --qr.
func (o *readOptions) scan(in io.Reader) (gate.Scan, error) {
	given, value := 0, ""
	for _, v := range []string{o.can, o.mrz, o.qr} {
		if v != "" {
			given++
			value = v
		}
	}
	if given != 1 {
		return gate.Scan{}, errors.New("give exactly one of --can, --mrz and --qr")
	}
	if value == "-" {
		b, err := io.ReadAll(io.LimitReader(in, maxInput))
		if err != nil {
			return gate.Scan{}, fmt.Errorf("standard input: %w", err)
		}
		value = strings.Trim(string(b), "\r\n")
		clear(b)
	}
	switch {
	case o.can != "":
		return scan.FromCAN(value)
	case o.qr != "":
		return scan.FromQR(value)
	}
	return scan.FromMRZ(value)
}

// time is the trusted time of --at. Whole days are those of the machine's
// zone, unless --at names another by its offset.
func (o *readOptions) time() (gate.TrustedTime, error) {
	switch o.at {
	case "":
		c := &clock.Clock{Source: clock.Kernel, MaxHoldover: o.holdover, File: filepath.Join(o.state, clock.FileName)}
		c.Load() // where no lane ran, or its folder may not be read, the kernel's word is all
		now, ok := c.Now()
		return gate.TrustedTime{Now: now, Trusted: ok, Zone: time.Local}, nil
	case "untrusted":
		return gate.TrustedTime{Now: time.Now(), Zone: time.Local}, nil
	}
	t, err := time.Parse(time.RFC3339, o.at)
	if err != nil {
		return gate.TrustedTime{}, fmt.Errorf("--at %q is no time; write for example 2026-11-21T08:00:00+07:00, or untrusted", o.at)
	}
	zone := time.Local
	if _, offset := t.Zone(); offset != 0 {
		zone = t.Location()
	}
	return gate.TrustedTime{Now: t, Trusted: true, Zone: zone}, nil
}

// findCard waits for a card and says on which reader it lies and how long
// that took.
func (o *readOptions) findCard(ctx context.Context) (name string, waited time.Duration, err error) {
	if o.wait < 0 || o.reader == "" {
		return "", 0, errors.New("--wait must not be negative, --reader not empty")
	}
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, max(o.wait, leastWait))
	defer cancel()
	if err := o.busy(ctx); err != nil {
		return "", 0, err
	}
	name, err = pcsc.FindCard(ctx, o.reader)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = o.noCard()
	}
	return name, time.Since(begin), err
}

func (o *readOptions) noCard() error {
	return fmt.Errorf("no card came onto a reader that fits %q within %v: lay the document on the reader, or see `gateagent readers`", o.reader, o.wait)
}

// busy refuses at once, without waiting for a card, where lanes run on every
// reader that could be meant.
func (o *readOptions) busy(ctx context.Context) error {
	names, err := pcsc.Readers(ctx)
	if err != nil {
		return err
	}
	var refused error
	for _, n := range names {
		if o.reader != "*" && o.reader != n {
			continue
		}
		lock, err := pcsc.Lock(o.runtime, n)
		if err == nil {
			return lock.Release()
		}
		refused = err
	}
	return refused
}

// connect keeps lanes off the reader and powers its card. release gives both
// back, until the given time at the latest; it may always be called.
func (o *readOptions) connect(ctx context.Context, name string) (*gate.Reopener, func(time.Time), error) {
	nothing := func(time.Time) {}
	lock, err := pcsc.Lock(o.runtime, name)
	if err != nil {
		return nil, nothing, err
	}
	watch, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	reader := pcsc.New(pcsc.Config{Reader: name, Exclusive: !o.shared, Log: slog.New(slog.DiscardHandler)})
	go func() { ended <- reader.Run(watch) }()
	card, err := o.power(ctx, reader)
	held := &gate.Reopener{Cards: reader, OpenChip: openChip}
	if err == nil {
		held.Card, held.Chip = card, openChip(card)
	}
	release := func(limit time.Time) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = held.Release() // the report is out; the daemon resets what is left
			stop()
			<-ended
			_ = lock.Release()
		}()
		select {
		case <-done:
		case <-time.After(time.Until(limit)): // the end of the process frees the rest
		}
	}
	if err != nil {
		release(time.Now().Add(readTail))
		release = nothing
	}
	return held, release, err
}

// power connects to the card as soon as the reader's watch sees it.
func (o *readOptions) power(ctx context.Context, reader *pcsc.Reader) (gate.Card, error) {
	ctx, cancel := context.WithTimeout(ctx, powerWithin)
	defer cancel()
	problem := ""
	for {
		select {
		case <-ctx.Done():
			if problem != "" {
				return nil, errors.New(problem)
			}
			return nil, o.noCard()
		case e := <-reader.Events():
			if problem = e.Problem; e.Present && e.Healthy {
				return reader.Connect(ctx)
			}
		}
	}
}

// defaultRuntime is where lanes and `read` keep the locks of readers, the
// same for both. A pcscd of its own has its own place.
func defaultRuntime() string {
	if s := os.Getenv("PCSCLITE_CSOCK_NAME"); s != "" {
		return strings.TrimSuffix(s, "/pcscd.comm") + "/locks"
	}
	return "/run/gateagent"
}
