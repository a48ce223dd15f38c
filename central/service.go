// Package central is the service that every kiosk reports to: it takes
// results in and acknowledges them once they are on its disk, runs the
// embedded broker unless it is given another, and shows the fleet.
//
// The guarantee: an acknowledgement that leaves this package speaks of
// results that SQLite has committed and synced. Everything else (queues,
// broker, presence) may be lost at any moment without losing a result.
package central

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"gateagent/central/broker"
	"gateagent/central/ca"
	"gateagent/central/enrol"
	"gateagent/central/fleet"
	"gateagent/central/store"
	"gateagent/gate/wire"
	"gateagent/internal/clock"
)

// Config of the service.
type Config struct {
	State    string   // folder of CA, database and broker
	MQTT     string   // address of the embedded broker; not used with Brokers
	Brokers  []string // tls://host:port of others instead of the embedded one; kiosks may come over any
	HTTP     string   // address of the fleet page
	Names    []string // names and addresses in the server certificates
	Announce string   // broker address in bundles; derived when empty
	// AssumeClock: this machine's clock is right though its kernel does not
	// say so. Without it kiosks get the time only while the kernel does.
	AssumeClock bool
	Updates     Updates
	// MinFree is how many bytes stay free where State lies: below it no results
	// are stored. 0: 1 GiB, or a twentieth of the file system where that is
	// less. Negative: it does not count.
	MinFree int64
}

// Updates say how the update repository is kept. The zero value keeps one in
// the state folder, if there is one, and serves it nowhere.
type Updates struct {
	Dir  string          // folder of the repository; State/repo when empty
	Addr string          // address for kiosks to fetch from; empty: somebody else serves the folder
	Keys []crypto.Signer // online keys; empty: somebody else signs
}

// Ready says where the service can be reached.
type Ready struct {
	Broker string // as bundles carry it
	Fleet  string // URL of the fleet page
	Repo   string // URL of the update repository; empty when it is not served
	// FirstPassword is set when the first operator was made just now. It is
	// shown once and stored nowhere.
	FirstOperator, FirstPassword string
}

// RepoFolder is the update repository's in the state folder.
const RepoFolder = enrol.RepoFolder

// sweep is how often connections with revoked certificates are looked for.
const sweep = time.Second

// Service is the assembled service.
type Service struct {
	conf   Config
	log    *slog.Logger
	reg    *enrol.Registry
	ingest *ingest
	board  *board
	broker *broker.Broker // nil with other brokers
	links  links
	times  *timeSigner
	docs   *docKeys
	lists  *listSecrets
	twins  *twins
	limits *throttle
	fleet  *fleet.Server
	ups    *updates
	repo   *repoServer // nil when the repository is not served
	ready  Ready
}

// Open assembles the service: state folder, broker, fleet page. Both listen
// when it returns; Run does the rest and must follow.
func Open(ctx context.Context, c Config, log *slog.Logger) (_ *Service, err error) {
	s := &Service{conf: c, log: log}
	if s.reg, err = enrol.Open(ctx, c.State); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	s.ingest = newIngest(s.reg.Store, s.reg.CA, log)
	s.times = newTimeSigner(s.reg.CA.AckKey(), ownClock(c.AssumeClock).Now, log)
	s.twins = newTwins()
	s.docs = newDocKeys(s.reg, ownClock(c.AssumeClock).Now, log)
	s.lists = newListSecrets(s.reg, ownClock(c.AssumeClock).Now, log)
	s.board = newBoard(s.reg.Store, log)
	s.limits = newThrottle(time.Now)
	s.ingest.charge, s.ingest.dir, s.ingest.minFree = s.charge, c.State, c.MinFree
	if err := s.board.load(ctx); err != nil {
		return nil, fmt.Errorf("read what was known of the kiosks: %w", err)
	}
	if err := s.openBroker(ctx); err != nil {
		return nil, err
	}
	s.ingest.send, s.times.send, s.docs.send, s.lists.send = s.links.Send, s.links.Send, s.links.Send, s.links.Send
	if err := s.openUpdates(); err != nil {
		return nil, err
	}
	return s, s.openFleet(ctx)
}

// ownClock is central's own clock. It has no holdover: what it tells kiosks
// is right now or is not told.
func ownClock(assume bool) *clock.Clock {
	if assume {
		return &clock.Clock{Source: clock.Assume}
	}
	return &clock.Clock{Source: clock.Kernel}
}

func (s *Service) openBroker(ctx context.Context) error {
	dial := s.conf.Brokers
	if len(dial) == 0 {
		conf, err := s.reg.CA.ServerTLS(s.conf.Names, true)
		if err != nil {
			return err
		}
		s.broker, err = broker.Start(broker.Config{Addr: s.conf.MQTT, Dir: filepath.Join(s.conf.State, "broker"),
			TLS: conf, Admit: s.admit}, s.log)
		if err != nil {
			return err
		}
		own, err := s.ownAddress(s.broker.Addr())
		if err != nil {
			return err
		}
		dial = []string{own}
	}
	var err error
	if s.links, err = newLinks(dial, s.reg.CA, s.deliver(ctx), s.log); err != nil {
		return err
	}
	s.ready.Broker = s.conf.Announce
	if s.ready.Broker == "" {
		s.ready.Broker = dial[0]
	}
	return s.reg.Announce(ctx, s.ready.Broker)
}

// ownAddress turns a listening address into one that can be dialled and
// stands in the server certificate.
func (s *Service) ownAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = s.conf.Names[0]
	}
	return "tls://" + net.JoinHostPort(host, port), nil
}

func (s *Service) openFleet(ctx context.Context) error {
	conf, err := s.reg.CA.ServerTLS(s.conf.Names, false)
	if err != nil {
		return err
	}
	s.fleet, err = fleet.Open(ctx, fleet.Config{Addr: s.conf.HTTP, TLS: conf, State: s.conf.State, Names: s.conf.Names,
		Store: s.reg.Store, Live: s.board.Live, Health: s.health}, s.log)
	if err != nil {
		return err
	}
	s.ready.Fleet = s.fleet.URL()
	s.ready.FirstOperator, s.ready.FirstPassword = s.fleet.First()
	return nil
}

// Ready says where the service can be reached.
func (s *Service) Ready() Ready { return s.ready }

// Run works until ctx ends or a part fails, then closes everything.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.ingest.Run(ctx) })
	g.Go(func() error { return s.board.Run(ctx) })
	for _, l := range s.links {
		g.Go(func() error { return l.Run(ctx) })
	}
	g.Go(func() error { return s.fleet.Run(ctx) })
	g.Go(func() error { return s.sweepRevoked(ctx) })
	g.Go(func() error { return s.compareRoots(ctx) })
	g.Go(func() error { return s.expire(ctx) })
	g.Go(func() error { return s.ups.Run(ctx) })
	if s.repo != nil {
		g.Go(func() error { return s.repo.Run(ctx) })
	}
	g.Go(func() error { return s.reopen(ctx) })
	return errors.Join(g.Wait(), s.close())
}

// Connected says whether the links to all brokers are up.
func (s *Service) Connected() bool { return len(s.links.Problems()) == 0 }

func (s *Service) close() error {
	var err error
	if s.fleet != nil {
		err = s.fleet.Close()
	}
	if s.repo != nil {
		err = errors.Join(err, s.repo.close())
	}
	if s.broker != nil {
		s.broker.Close()
	}
	return errors.Join(err, s.reg.Close())
}

// health says what is wrong with central itself.
func (s *Service) health() []string {
	all := s.links.Problems()
	if p := s.ingest.Problem(); p != "" {
		all = append(all, "Results cannot be stored and are not acknowledged: "+p)
	}
	if p := s.times.Problem(); p != "" {
		all = append(all, p)
	}
	if p := s.docs.Problem(); p != "" {
		all = append(all, "Kiosks get no new keys of document references: "+p)
	}
	if p := s.lists.Problem(); p != "" {
		all = append(all, "Kiosks get no new list secrets: "+p)
	}
	return append(all, s.ups.Problems()...)
}

// admit judges a client certificate at the embedded broker.
func (s *Service) admit(ctx context.Context, cert *x509.Certificate) (string, bool, error) {
	if ca.IsCentral(cert) {
		return wire.CentralName, true, nil
	}
	name := cert.Subject.CommonName
	if s.limits.Blocked(name) {
		return "", false, fmt.Errorf("kiosk %s flooded central and is not listened to for %v", name, penalty)
	}
	if !ca.IsKiosk(cert) {
		return "", false, fmt.Errorf("the certificate of %q is no kiosk's", name)
	}
	ok, err := s.reg.Store.CertificateValid(ctx, enrol.Serial(cert), name)
	if err != nil {
		return "", false, fmt.Errorf("look up the certificate of kiosk %s: %w", name, err)
	}
	if !ok {
		s.ingest.Alarm(store.Alarm{Kiosk: name, Kind: store.AlarmRevoked, First: time.Now(),
			Text: "a connection with a revoked certificate was refused"})
		return "", false, fmt.Errorf("the certificate of kiosk %s is revoked", name)
	}
	return name, false, nil
}

// deliver sorts what arrives from the broker.
func (s *Service) deliver(ctx context.Context) func(string, bool, []byte) {
	ctx = context.WithoutCancel(ctx) // every use has its own bound
	return func(topic string, retained bool, payload []byte) {
		kiosk, kind, err := wire.SplitTopic(topic)
		if err != nil {
			s.log.Warn("message on a strange topic", "err", err)
			return
		}
		cost := costSmall
		if kind == wire.TopicResults {
			cost = costBatch
		}
		if !s.charge(kiosk, cost+costRate*float64(len(payload))) {
			return
		}
		if kind == wire.TopicResults {
			s.ingest.Take(kiosk, payload)
			return
		}
		lctx, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		key, revoked, err := s.reg.Store.SigningKey(lctx, kiosk)
		if err != nil || revoked {
			return // not of the fleet; its results raise an alarm, this need not
		}
		switch kind {
		case wire.TopicPresence:
			err = s.board.Presence(kiosk, payload)
		case wire.TopicStatus:
			if err = s.board.Status(kiosk, retained, payload); err == nil {
				s.docs.Status(lctx, kiosk, payload)
				s.lists.Status(lctx, kiosk, payload)
				s.lookForTwins(kiosk, retained, payload)
			}
		case wire.TopicTimeQuestion:
			if !retained {
				err = s.times.Answer(kiosk, key, payload)
			}
		}
		if err != nil {
			s.ingest.Alarm(store.Alarm{Kiosk: kiosk, Kind: alarmKind(err), Text: err.Error(), First: time.Now()})
			s.charge(kiosk, costBad)
		}
	}
}

func alarmKind(err error) string {
	if errors.Is(err, wire.ErrSignature) {
		return store.AlarmSignature
	}
	return store.AlarmFormat
}

// sweepRevoked cuts connections whose certificate was revoked, by whatever
// process, since they were made.
func (s *Service) sweepRevoked(ctx context.Context) error {
	if s.broker == nil {
		return nil // another broker works with the revocation list
	}
	tick := time.NewTicker(sweep)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		tctx, cancel := context.WithTimeout(ctx, lookTimeout)
		serials, err := s.reg.Store.RevokedSerials(tctx)
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				s.log.Error("look for revoked kiosks", "err", err)
			}
			continue
		}
		for _, serial := range serials {
			if n := s.broker.Kick(serial); n > 0 {
				s.log.Warn("connections with a revoked certificate were cut", "serial", serial, "connections", n)
			}
		}
	}
}

// Live gives what was last heard of each kiosk.
func (s *Service) Live() []store.Live { return s.board.Live() }
