package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
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

// readLimit is how long `read` may take once a card lies on the reader,
// retries included.
const readLimit = 15 * time.Second

// maxInput bounds what "-" reads from standard input.
const maxInput = 4096

// readOptions are the flags of `gateagent read`.
type readOptions struct {
	reader, can, mrz, qr   string
	trust, at, runtime     string
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
			return o.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.reader, "reader", "*", "name of the reader; * stands for any characters")
	f.StringVar(&o.can, "can", "", "card access `number`, six digits, or -")
	f.StringVar(&o.mrz, "mrz", "", "machine readable `text`, or -")
	f.StringVar(&o.qr, "qr", "", "`text` of the Vietnamese ID card's QR code, or -")
	f.StringVar(&o.trust, "trust", "", "`folder` of CSCA certificates, master lists and CRLs")
	f.StringVar(&o.at, "at", "", "trusted `time` (RFC 3339), or \"untrusted\"; default: the kernel's, while it is synchronised")
	f.StringVar(&o.runtime, "runtime", defaultRuntime(), "`folder` of the lock files of lanes")
	f.DurationVar(&o.wait, "wait", 10*time.Second, "how long to wait for a card")
	f.BoolVar(&o.requireCRL, "require-crl", false, "a current revocation list is mandatory")
	f.BoolVar(&o.full, "full", false, "read every readable data group")
	f.BoolVar(&o.personal, "personal", false, "print the holder's data")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	f.BoolVar(&o.shared, "shared", false, "let other programs use the card meanwhile")
	return cmd
}

func (o *readOptions) run(ctx context.Context, in io.Reader, out, errs io.Writer) error {
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
	card, done, err := o.card(ctx)
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	begin := time.Now()
	session := chip.New(card, chip.Options{})
	defer session.Close()
	kase := document.NewJudge(trust).NewCase(at)
	defer kase.Wipe()
	result := gate.Inspect(ctx, session, kase, scanned, gate.InspectOptions{Full: o.full})
	total := time.Since(begin)
	profile := gate.DefaultProfile()
	if o.requireCRL {
		profile = gate.DefaultProfile("*")
	}
	rep := newReport(result, profile, total, o.full, o.personal)
	if err := rep.print(out, o.json); err != nil {
		return err
	}
	return rep.exit()
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
	}
	if o.can != "" {
		return scan.FromCAN(value)
	}
	s := scan.Recognise([]byte(value))
	switch {
	case o.mrz != "" && s.Kind != gate.ScanMRZ:
		return gate.Scan{}, errors.New("--mrz is no machine readable zone of 3 lines of 30, 2 of 36 or 2 of 44 characters; separate lines by a newline or a slash")
	case o.qr != "" && s.Kind != gate.ScanVietnamID:
		return gate.Scan{}, errors.New("--qr is no Vietnamese ID card code: number|old number|name|ddMMyyyy|sex|address|ddMMyyyy")
	}
	return s, nil
}

// time is the trusted time of --at.
func (o *readOptions) time() (gate.TrustedTime, error) {
	switch o.at {
	case "":
		now, ok := (&clock.Clock{Source: clock.Kernel}).Now()
		return gate.TrustedTime{Now: now, Trusted: ok, Zone: time.Local}, nil
	case "untrusted":
		return gate.TrustedTime{Now: time.Now(), Zone: time.Local}, nil
	}
	t, err := time.Parse(time.RFC3339, o.at)
	if err != nil {
		return gate.TrustedTime{}, fmt.Errorf("--at %q is no time; write for example 2026-11-21T08:00:00+07:00, or untrusted", o.at)
	}
	return gate.TrustedTime{Now: t, Trusted: true, Zone: t.Location()}, nil
}

// card waits for a card, keeps lanes off its reader, and connects.
func (o *readOptions) card(ctx context.Context) (gate.Card, func(), error) {
	wctx, cancel := context.WithTimeout(ctx, o.wait)
	defer cancel()
	name, err := pcsc.FindCard(wctx, o.reader)
	if err != nil {
		if errors.Is(wctx.Err(), context.DeadlineExceeded) {
			return nil, nil, fmt.Errorf("no card came onto a reader that fits %q within %v: lay the document on the reader, or see `gateagent readers`", o.reader, o.wait)
		}
		return nil, nil, err
	}
	rctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	reader := pcsc.New(pcsc.Config{Reader: name, Exclusive: !o.shared, LockDir: o.runtime, Log: slog.New(slog.DiscardHandler)})
	go func() { ended <- reader.Run(rctx) }()
	done := func() { stop(); <-ended }
	cctx, cancel := context.WithTimeout(ctx, o.wait+2*time.Second)
	defer cancel()
	for {
		select {
		case err := <-ended:
			stop()
			if err == nil {
				err = errors.New("the reader's task ended")
			}
			return nil, nil, err
		case <-cctx.Done():
			done()
			return nil, nil, fmt.Errorf("reader %q: the card could not be powered in time", name)
		case e := <-reader.Events():
			if !e.Present || !e.Healthy {
				continue
			}
			card, err := reader.Connect(cctx)
			if err != nil {
				done()
				return nil, nil, err
			}
			return card, func() { _ = card.Close(); done() }, nil
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
