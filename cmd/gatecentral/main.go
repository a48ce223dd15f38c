// Command gatecentral is the central service: it takes the results of every
// kiosk in, runs the MQTT broker and shows the fleet.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"gateagent/central"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one command line and gives the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := &cobra.Command{Use: "gatecentral", Short: "Central service of the gates", SilenceUsage: true, SilenceErrors: true}
	cmd.AddCommand(runCommand(), initCommand(), passwordCommand(), brokerFilesCommand())
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	if err := cmd.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(stderr, "gatecentral: %v\n", err)
		return 1
	}
	return 0
}

func runCommand() *cobra.Command {
	var c central.Config
	var verbose bool
	var online onlineFlags
	cmd := &cobra.Command{
		Use:   "run --state DIR",
		Short: "Run the service until SIGTERM",
		Long: `Takes results in, acknowledges them once they are on disk, and shows the fleet.

The state folder holds everything: central.db (results), ca/ (keys: back them
up, without them every kiosk has to be enrolled anew), broker/ (may be lost),
api.token (for tools: curl -H "Authorization: Bearer $(cat api.token)"
https://HOST/api/kiosks.json). The first start makes it all and prints the
first password of the fleet page once.

Kiosks are enrolled with gatectl kiosk, also while this runs.

The update repository (gatectl repo) lies in repo/ of the state folder. With
--online-key this renews its timestamp and puts in force what people have
signed; with --updates kiosks fetch it from here.`,
		Example: `  gatecentral run --state /var/lib/gatecentral --mqtt 0.0.0.0:8883 --http 0.0.0.0:8443 --name central.airport.example
  gatecentral run --state /var/lib/gatecentral --broker tls://broker.airport.example:8883`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			level := slog.LevelInfo
			if verbose {
				level = slog.LevelDebug
			}
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
			done, err := online.open(&c)
			if err != nil {
				return err
			}
			return errors.Join(serve(cmd.Context(), c, log, cmd.OutOrStdout()), done())
		},
	}
	f := cmd.Flags()
	online.register(cmd, &c)
	f.StringVar(&c.State, "state", "/var/lib/gatecentral", "state folder")
	f.StringVar(&c.MQTT, "mqtt", "127.0.0.1:8883", "address of the embedded broker (MQTT over TLS)")
	f.StringArrayVar(&c.Brokers, "broker", nil, "use this broker instead of the embedded one: tls://HOST:PORT; repeatable, where kiosks reach central over several")
	f.StringVar(&c.Announce, "announce", "", "broker address that bundles carry, where kiosks reach it by another: tls://HOST:PORT")
	f.StringVar(&c.HTTP, "http", "127.0.0.1:8443", "address of the fleet page (HTTPS)")
	f.StringArrayVar(&c.Names, "name", nil, "host name or address under which this machine is reached, repeatable; stands in its certificates (localhost and 127.0.0.1 always do)")
	f.BoolVar(&c.AssumeClock, "assume-clock", false, "tell kiosks the time though this machine's kernel does not say that it is synchronised")
	f.BoolVar(&verbose, "verbose", false, "log more")
	return cmd
}

// serve runs the service and says when it is ready.
func serve(ctx context.Context, c central.Config, log *slog.Logger, out io.Writer) (err error) {
	c.Names = append(c.Names, "localhost", "127.0.0.1", "::1")
	unlock, err := lock(c.State)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	s, err := central.Open(ctx, c, log)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	if err := announce(ctx, s, out); err != nil {
		log.Warn("ready, but systemd was not told", "err", err)
	}
	return <-done
}

// announce prints the addresses once the service works and tells systemd.
func announce(ctx context.Context, s *central.Service, out io.Writer) error {
	// An unreachable broker is shown on the page and retried; it is no
	// reason not to be ready.
	for end := time.Now().Add(3 * time.Second); !s.Connected() && time.Now().Before(end) && ctx.Err() == nil; {
		time.Sleep(10 * time.Millisecond)
	}
	r := s.Ready()
	fmt.Fprintf(out, "broker      %s\nfleet page  %s\n", r.Broker, r.Fleet)
	if r.Repo != "" {
		fmt.Fprintf(out, "updates     %s\n", r.Repo)
	}
	if r.FirstPassword != "" {
		fmt.Fprintf(out, "\nfirst login, shown only now:\n  name      %s\n  password  %s\n\n", r.FirstOperator, r.FirstPassword)
	}
	fmt.Fprintln(out, "ready")
	_, err := daemon.SdNotify(false, daemon.SdNotifyReady)
	return err
}
