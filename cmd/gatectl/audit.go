package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"gateagent/central/enrol"
	"gateagent/central/intake"
	"gateagent/gate/wire"
	"gateagent/internal/durable"
)

// auditCommand is `gatectl audit`.
func auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Prove exported results",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(auditVerify())
	return cmd
}

func auditVerify() *cobra.Command {
	var v verification
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Name what was removed, reordered or altered in an exported file",
		Long: `Checks every hash, the chain over them and the kiosk's signatures in a file of
gatectl outbox export. Without --central or --key the file is proven under the
key that it names itself: compare its fingerprint with the one that the kiosk
printed. With a key of --open or --central every result is opened, too.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return v.run(cmd, args[0]) },
	}
	cmd.Flags().StringVar(&v.central.dir, "central", "", "central's state folder: the kiosk's key as it was enrolled, and the keys that open its results")
	cmd.Flags().StringVar(&v.key, "key", "", "file with the kiosk's Ed25519 signing key (PEM, hex or base64)")
	cmd.Flags().StringVar(&v.open, "open", "", "file with a private key that opens the results (gatectl outbox keygen)")
	cmd.Flags().BoolVar(&v.print, "print", false, "print each result that can be read, one JSON object a line")
	return cmd
}

// verification is one run of audit verify.
type verification struct {
	central    centralFlags
	key, open  string
	print      bool
	opener     *wire.Opener
	unreadable int
}

func (v *verification) run(cmd *cobra.Command, path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // only read
	x, err := wire.NewExportReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	kiosk := x.Head.Kiosk
	key, source, err := v.keys(cmd, &x.Head)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, 0); err != nil {
		return err
	}
	a, err := wire.AuditExport(f, key, func(epoch string, e wire.Entry) error { return v.read(cmd, kiosk, epoch, e) })
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	out := cmd.ErrOrStderr()
	for _, fault := range a.Faults {
		fmt.Fprintln(out, fault)
	}
	fmt.Fprintf(out, "kiosk %s, key %s (%s): %d results, %d of them with an expired body, %d signed checkpoints, %d epochs\n",
		kiosk, fingerprint(key), source, a.Results, a.Expired, a.Checkpoints, len(a.Epochs))
	if n := len(a.Faults) + a.More; n > 0 {
		return fmt.Errorf("%s was tampered with or is damaged: %d faults", path, n)
	}
	if v.unreadable > 0 {
		return fmt.Errorf("%s: nothing is missing, but %d results cannot be opened with the keys given", path, v.unreadable)
	}
	return nil
}

// keys finds the key to believe and those that open.
func (v *verification) keys(cmd *cobra.Command, head *wire.ExportHead) (key ed25519.PublicKey, source string, err error) {
	key, source = head.Key, "as the file says itself"
	if len(key) != ed25519.PublicKeySize {
		return nil, "", errors.New("the file names no key of the kiosk: give one with --key")
	}
	if v.central.dir != "" {
		err = v.central.open(cmd, func(ctx context.Context, r *enrol.Registry) error {
			v.opener = r.CA.Opener()
			key, source, err = keyOfFile(ctx, r, head)
			return err
		})
	}
	if err == nil && v.key != "" {
		source = "as given"
		key, err = readPublicKey(v.key)
	}
	if err == nil && v.open != "" {
		var text []byte
		var private *wire.OpenKey
		if text, err = os.ReadFile(v.open); err == nil {
			private, err = wire.ParseOpenKey(string(text))
		}
		if err == nil {
			v.opener = wire.NewOpener(private)
		}
	}
	return key, source, err
}

// aheadMost is by how much a kiosk's clock may be ahead of central's when a file
// is judged by the time that it names.
const aheadMost = time.Hour

// keyOfFile finds the key that central knows for the kiosk: the one that a file
// was signed with, if that was the kiosk's when the file was written, else the
// present one, under which nothing in the file will be right.
func keyOfFile(ctx context.Context, r *enrol.Registry, head *wire.ExportHead) (key ed25519.PublicKey, source string, err error) {
	all, err := r.Store.SigningKeys(ctx, head.Kiosk)
	if err != nil {
		return nil, "", err
	}
	for _, k := range all {
		switch {
		case !bytes.Equal(k.Key, head.Key):
		case k.Until.IsZero():
			return k.Key, "as enrolled at central", nil
		case head.At.After(k.Until.Add(aheadMost)):
			return nil, "", fmt.Errorf("the file says it was written on %s, with a key that was the kiosk's until %s only: somebody else has that key",
				head.At.Format(time.RFC3339), k.Until.Format(time.RFC3339))
		default:
			return k.Key, "as enrolled at central until " + k.Until.Format(time.RFC3339), nil
		}
	}
	return all[len(all)-1].Key, "as enrolled at central", nil
}

// read opens one result, where keys were given.
func (v *verification) read(cmd *cobra.Command, kiosk, epoch string, e wire.Entry) error {
	if v.opener == nil || len(e.Body) == 0 {
		return nil
	}
	record, err := v.opener.Open(kiosk, epoch, e.Number, e.Prev, e.Body)
	if err != nil {
		v.unreadable++
		_, err = fmt.Fprintln(cmd.ErrOrStderr(), err)
		return err
	}
	if v.print {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", record)
	}
	return err
}

// centralCommand is `gatectl central`.
func centralCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "central",
		Short: "At central: take carried results in, prove what is stored, change the keys of document references",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(centralImport(), centralVerify(), centralReopen(), centralDocKeys())
	return cmd
}

func centralImport() *cobra.Command {
	var f centralFlags
	var ack string
	var acceptLoss bool
	cmd := &cobra.Command{
		Use:   "import FILE --central DIR",
		Short: "Take the results of an exported file in; repeats do no harm",
		Long: `Takes in what gatectl outbox export wrote, by the same rules as what comes over
the broker; the service may run. The acknowledgements, the kiosk's keys of
document references and its list secrets go into the file of --ack, for gatectl
outbox acknowledge on the kiosk; without them the kiosk sends the results again when it is online,
which does no harm either.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close() // only read
			f.limit = importTimeout
			return f.open(cmd, func(ctx context.Context, r *enrol.Registry) error {
				done, err := intake.Import(ctx, r, file, acceptLoss, time.Now())
				if done != nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "kiosk %s: %d results taken in, %d were there already, %d cannot be opened\n", done.Kiosk, done.New, done.Repeat, done.Unreadable)
					if done.Lost > 0 {
						fmt.Fprintf(cmd.ErrOrStderr(), "%d results before them are lost, and noted so\n", done.Lost)
					}
					if err := errors.Join(err, writeAcks(ctx, r, ack, done)); err != nil {
						return fmt.Errorf("%s: %w", args[0], err)
					}
					for _, why := range done.Refused {
						err = errors.Join(err, errors.New(why))
					}
				}
				if err != nil {
					return fmt.Errorf("%s: %w", args[0], err)
				}
				return nil
			})
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&acceptLoss, "accept-loss", false, "take in what follows on results that nobody has any more (export with --all first); those are noted as lost, and an alarm")
	cmd.Flags().StringVar(&ack, "ack", "", "write central's acknowledgements to this file")
	return cmd
}

func centralVerify() *cobra.Command {
	var f centralFlags
	cmd := &cobra.Command{
		Use:   "verify --central DIR",
		Short: "Name what was removed or altered in the stored results",
		Long: `Checks every stored hash, the chain over them, and under the newest of each
kiosk and epoch the signature of the kiosk. Results whose time is over are
proven by their hashes. It may run beside the service.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.limit = importTimeout
			return f.open(cmd, func(ctx context.Context, r *enrol.Registry) error {
				kiosks, err := r.List(ctx)
				if err != nil {
					return err
				}
				faults := 0
				for _, k := range kiosks {
					a, err := r.Store.Audit(ctx, k.Name)
					if err != nil {
						return fmt.Errorf("kiosk %s: %w", k.Name, err)
					}
					for _, fault := range a.Faults {
						fmt.Fprintf(cmd.ErrOrStderr(), "kiosk %s, %s\n", k.Name, fault)
					}
					faults += len(a.Faults)
					fmt.Fprintf(cmd.ErrOrStderr(), "kiosk %s: %d results, %d of them with an expired body, %d that cannot be opened, %d lost, %d faults\n",
						k.Name, a.Results, a.Expired, a.Sealed, a.Lost, len(a.Faults))
				}
				if faults > 0 {
					return fmt.Errorf("the stored results were tampered with or are damaged: %d faults", faults)
				}
				return nil
			})
		},
	}
	f.register(cmd)
	return cmd
}

// importTimeout bounds work on all of the results.
const importTimeout = time.Hour

// writeAcks writes what the kiosk is to hear: acknowledgements, the present
// keys of document references, and list secrets.
func writeAcks(ctx context.Context, r *enrol.Registry, path string, done *intake.Imported) error {
	if path == "" {
		return nil
	}
	var out bytes.Buffer
	for _, a := range done.Acks {
		line, err := a.Encode()
		if err != nil {
			return err
		}
		out.Write(append(line, '\n'))
	}
	for _, more := range []func(context.Context, *enrol.Registry, string) ([]byte, error){docKeyLine, listSecretsLine} {
		line, err := more(ctx, r, done.Kiosk)
		if err != nil {
			return err
		}
		if len(line) > 0 {
			out.Write(append(line, '\n'))
		}
	}
	return durable.WriteFile(path, out.Bytes(), 0o600)
}
