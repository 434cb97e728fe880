package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/ice/v2"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/transport"
	"github.com/pion/transport/stdnet"
	"github.com/pion/webrtc"
)

const (
	payloadType   = 96
	socketBuffer  = 4 << 20
	goneAfter     = 10 * time.Second
	checkInterval = 50 * time.Millisecond
	keepalive     = 2 * time.Second
)

var profiles = map[string]dtls.SRTPProtectionProfile{
	"cm":  dtls.SRTP_AES128_CM_HMAC_SHA1_80,
	"gcm": dtls.SRTP_AEAD_AES_128_GCM,
}

// viewer is one connection that offers to receive H.264.
type viewer struct {
	counter
	id     string
	called time.Time
	close  func() error
	peer   *webrtc.PeerConnection
}

// roomyNet gives sockets that hold a burst until this process gets its turn.
type roomyNet struct{ *stdnet.Net }

func (n roomyNet) ListenUDP(network string, address *net.UDPAddr) (transport.UDPConn, error) {
	socket, err := net.ListenUDP(network, address)
	if err != nil {
		return nil, err
	}
	return socket, socket.SetReadBuffer(socketBuffer)
}

// engine makes connections with one SRTP profile, over one address of this machine, with one certificate.
type engine struct {
	api         *webrtc.API
	certificate webrtc.Certificate
}

func newEngine(address, profile string) (*engine, error) {
	loggers := logging.NewDefaultLoggerFactory()
	loggers.Writer = os.Stderr // its default is where the driver reads
	settings := webrtc.SettingEngine{LoggerFactory: loggers}
	settings.SetSRTPProtectionProfiles(profiles[profile])
	settings.SetIPFilter(func(ip net.IP) bool { return ip.String() == address })
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetPrflxAcceptanceMinWait(0)
	// There is no setting for the pace of connectivity checks, 200 ms; but it is never slower than the shortest of
	// these. Browsers check each 50 ms.
	settings.SetICETimeouts(goneAfter, checkInterval, keepalive)
	standard, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	settings.SetNet(roomyNet{standard})

	media := &webrtc.MediaEngine{}
	h264 := webrtc.RTPCodecCapability{
		MimeType:     webrtc.MimeTypeH264,
		ClockRate:    90000,
		SDPFmtpLine:  "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
		RTCPFeedback: []webrtc.RTCPFeedback{{Type: "ccm", Parameter: "fir"}},
	}
	codec := webrtc.RTPCodecParameters{RTPCodecCapability: h264, PayloadType: payloadType}
	if err := media.RegisterCodec(codec, webrtc.RTPCodecTypeVideo); err != nil {
		return nil, err
	}
	interceptors := &interceptor.Registry{}
	if err := webrtc.RegisterDefaultInterceptors(media, interceptors); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	certificate, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, err
	}
	api := webrtc.NewAPI(
		webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(interceptors),
	)
	return &engine{api: api, certificate: *certificate}, nil
}

// offer makes a viewer and its complete offer; `said` hears of its states and of its first keyframe.
func (e *engine) offer(id string, said func(event)) (*viewer, string, error) {
	peer, err := e.api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{e.certificate}})
	if err != nil {
		return nil, "", err
	}
	v := &viewer{id: id, peer: peer, close: peer.Close}
	peer.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		said(event{ID: id, Event: state.String(), Ms: v.since(time.Now())})
	})
	peer.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		packet := make([]byte, 1600)
		v.read(func() (int, error) {
			size, _, err := track.Read(packet)
			return size, err
		}, packet, said)
	})
	init := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
	if _, err := peer.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, init); err != nil {
		return nil, "", err
	}
	offer, err := peer.CreateOffer(nil)
	if err != nil {
		return nil, "", err
	}
	gathered := webrtc.GatheringCompletePromise(peer)
	if err := peer.SetLocalDescription(offer); err != nil {
		return nil, "", err
	}
	<-gathered
	return v, peer.LocalDescription().SDP, nil
}

func (v *viewer) answer(sdp string) error {
	if v.peer == nil {
		return fmt.Errorf("a sink takes no answer")
	}
	return v.peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp})
}

// read counts packets until there are no more.
func (v *viewer) read(next func() (int, error), packet []byte, said func(event)) {
	waiting := true
	for {
		size, err := next()
		if err != nil {
			return
		}
		v.take(packet[:size], time.Now())
		if waiting && !v.keyframe.IsZero() {
			waiting = false
			said(event{ID: v.id, Event: "keyframe", Ms: v.since(v.keyframe)})
		}
	}
}

// since gives milliseconds from the call.
func (v *viewer) since(now time.Time) float64 {
	return float64(now.Sub(v.called).Microseconds()) / 1000
}
