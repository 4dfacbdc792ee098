"""libtorrent-rasterbar set for speed: tuned_libtorrent.py seed|get TORRENT FOLDER ADDRESS PORT
Its own preset for a fast seed, buffers and queues wide enough for any link here, no encryption, no uTP, as many threads as there are
cores for the disk and for hashes. `get` ends when every piece is verified."""
import signal
import sys

import libtorrent as lt

mode, torrent, folder, address, port = sys.argv[1:]
settings = lt.high_performance_seed() if mode == 'seed' else lt.default_settings()
settings.update({
    'listen_interfaces': '%s:%s' % (address, port), 'enable_dht': False, 'enable_lsd': False, 'enable_upnp': False, 'enable_natpmp': False,
    'enable_outgoing_utp': False, 'enable_incoming_utp': False, 'allow_multiple_connections_per_ip': True,
    'in_enc_policy': 2, 'out_enc_policy': 2, 'hashing_threads': 2, 'aio_threads': 4, 'max_out_request_queue': 1500, 'request_queue_time': 3,
    'send_buffer_watermark': 3 << 20, 'send_buffer_watermark_factor': 150, 'recv_socket_buffer_size': 1 << 20, 'send_socket_buffer_size': 1 << 20,
    'alert_mask': lt.alert.category_t.status_notification, 'stop_tracker_timeout': 1})
session = lt.session(settings)
wanted = lt.add_torrent_params()
wanted.ti, wanted.save_path = lt.torrent_info(torrent), folder
wanted.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
if mode == 'seed':
    wanted.flags |= lt.torrent_flags.seed_mode
handle = session.add_torrent(wanted)
stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
while not stopping and not (mode == 'get' and handle.status().is_seeding):
    session.wait_for_alert(20 if mode == 'get' else 500)
    session.pop_alerts()
