"""Interface classes of modems and networks (Blue Book part 2, clauses 4.7 and 4.9)."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, NamedTuple

from hesper_dlms.axdr import Data, Tag
from hesper_dlms.classes.control import Window
from hesper_dlms.classes.description import Dynamic, Static, versions
from hesper_dlms.classes.kinds import (
    Boolean,
    DoubleLongUnsigned,
    Enum,
    Integer,
    IpAddress,
    LogicalName,
    LongUnsigned,
    Number,
    Octets,
    Text,
    Unsigned,
)
from hesper_dlms.classes.ports import Speed
from hesper_dlms.cosem_time import CosemDateTime


class InitializationString(NamedTuple):
    """A command to the modem and its expected answer; version 1 adds a delay in ms."""

    request: Octets
    response: Octets
    delay_after_response: LongUnsigned | None = None


class ModemConfiguration(NamedTuple):
    """Class 27, modem configuration."""

    logical_name: LogicalName
    communication_speed: Static[Speed] = None
    initialization_string: Static[tuple[InitializationString, ...]] = None
    modem_profile: Static[tuple[Octets, ...]] = None


class NumberOfRings(NamedTuple):
    """After how many rings a modem answers, within its window and outside; 0 never."""

    nr_rings_in_window: Unsigned
    nr_rings_out_of_window: Unsigned


class AllowedCaller(NamedTuple):
    """Who may call, and what for."""

    caller_id: Octets
    call_type: Enum


class AutoAnswer(NamedTuple):
    """Class 28, auto answer."""

    logical_name: LogicalName
    mode: Static[Enum] = None
    listening_window: Static[tuple[Window, ...]] = None
    status: Dynamic[Enum] = None
    number_of_calls: Static[Unsigned] = None
    number_of_rings: Static[NumberOfRings] = None
    list_of_allowed_callers: Static[tuple[AllowedCaller, ...]] = None


class AutoConnect(NamedTuple):
    """Class 29, auto connect; `repetition_delay` in seconds."""

    logical_name: LogicalName
    mode: Static[Enum] = None
    repetitions: Static[Unsigned] = None
    repetition_delay: Static[LongUnsigned] = None
    calling_window: Static[tuple[Window, ...]] = None
    destination_list: Static[tuple[Octets, ...]] = None


class TcpUdpSetup(NamedTuple):
    """Class 41, TCP-UDP setup; `inactivity_time_out` in seconds."""

    logical_name: LogicalName
    tcp_udp_port: Static[LongUnsigned] = None
    ip_reference: Static[LogicalName] = None
    mss: Static[LongUnsigned] = None
    nb_of_sim_conn: Static[Unsigned] = None
    inactivity_time_out: Static[LongUnsigned] = None


class IpOption(NamedTuple):
    """An option of an IP header."""

    ip_option_type: Unsigned
    ip_option_length: Unsigned
    ip_option_data: Octets


class Ipv4Setup(NamedTuple):
    """Class 42, IPv4 setup."""

    logical_name: LogicalName
    dl_reference: Static[Octets] = None
    ip_address: Dynamic[IpAddress] = None
    multicast_ip_address: Static[tuple[IpAddress, ...]] = None
    ip_options: Static[tuple[IpOption, ...]] = None
    subnet_mask: Dynamic[IpAddress] = None
    gateway_ip_address: Dynamic[IpAddress] = None
    use_dhcp_flag: Static[Boolean] = None
    primary_dns_address: Dynamic[IpAddress] = None
    secondary_dns_address: Dynamic[IpAddress] = None


class Ipv6Setup(NamedTuple):
    """Class 48, IPv6 setup; `address_config_mode` 0 automatic, 1 DHCPv6, 2 manual, 3 neighbours."""

    logical_name: LogicalName
    dl_reference: Static[Octets] = None
    address_config_mode: Static[Enum] = None
    unicast_ipv6_addresses: Dynamic[tuple[Octets, ...]] = None
    multicast_ipv6_addresses: Static[tuple[Octets, ...]] = None
    gateway_ipv6_addresses: Dynamic[tuple[Octets, ...]] = None
    primary_dns_address: Static[Octets] = None
    secondary_dns_address: Static[Octets] = None
    traffic_class: Static[Unsigned] = None
    neighbour_discovery_setup: Static[Data] = None


class MacAddressSetup(NamedTuple):
    """Class 43, MAC address setup."""

    logical_name: LogicalName
    mac_address: Static[Octets] = None


class PppSetup(NamedTuple):
    """Class 44, PPP setup; the options vary in type with what they are."""

    logical_name: LogicalName
    phy_reference: Static[Octets] = None
    lcp_options: Static[Data] = None
    ipcp_options: Static[Data] = None
    ppp_authentication: Static[Data] = None


class QosElement(NamedTuple):
    """One quality of service of a GPRS context, as 3GPP TS 24.008 numbers it."""

    precedence: Unsigned
    delay: Unsigned
    reliability: Unsigned
    peak_throughput: Unsigned
    mean_throughput: Unsigned


class QualityOfService(NamedTuple):
    """The least that is accepted, and what is asked for."""

    default: QosElement
    requested: QosElement


class GprsSetup(NamedTuple):
    """Class 45, GPRS modem setup."""

    logical_name: LogicalName
    apn: Static[Octets] = None
    pin_code: Static[LongUnsigned] = None
    quality_of_service: Static[QualityOfService] = None


class CellInfo(NamedTuple):
    """The serving cell: version 1 adds codes and channel; `signal_quality` 99 is unknown."""

    cell_id: DoubleLongUnsigned
    location_id: LongUnsigned
    signal_quality: Unsigned
    ber: Unsigned
    mcc: LongUnsigned | None = None
    mnc: LongUnsigned | None = None
    channel_number: DoubleLongUnsigned | None = None


class AdjacentCell(NamedTuple):
    """A neighbour of the serving cell."""

    cell_id: DoubleLongUnsigned
    signal_quality: Unsigned


class PacketSwitchedStatus(IntEnum):
    """How a modem is in the packet network."""

    INACTIVE = 0
    GPRS = 1
    EDGE = 2
    UMTS = 3
    HSDPA = 4
    LTE = 5
    CDMA = 6
    LTE_CAT_M1 = 7
    LTE_CAT_NB1 = 8
    LTE_CAT_NB2 = 9


class GsmDiagnostic(NamedTuple):
    """Class 47, GSM diagnostic."""

    logical_name: LogicalName
    operator: Dynamic[Text] = None
    status: Dynamic[Enum] = None
    cs_attachment: Dynamic[Enum] = None
    ps_status: Dynamic[Annotated[int, Number(Tag.ENUM, PacketSwitchedStatus)]] = None
    cell_info: Dynamic[CellInfo] = None
    adjacent_cells: Dynamic[tuple[AdjacentCell, ...]] = None
    capture_time: Dynamic[CosemDateTime] = None


class LteParameters(NamedTuple):
    """Version 0: timers, and the signal beside them."""

    t3402: LongUnsigned
    t3412: LongUnsigned
    rsrq: Unsigned
    rsrp: Unsigned
    q_rx_lev_min: Integer


class LteMonitoring(NamedTuple):
    """Class 151, LTE monitoring, version 0."""

    logical_name: LogicalName
    lte_network_parameters: Dynamic[LteParameters] = None


class LteNetworkParameters(NamedTuple):
    """Version 1: timers and levels of the network."""

    t3402: LongUnsigned
    t3412: LongUnsigned
    t3412_ext2: DoubleLongUnsigned
    t3324: LongUnsigned
    te_drx: DoubleLongUnsigned
    tptw: LongUnsigned
    q_rx_lev_min: Integer
    q_rx_lev_min_ce: Integer
    q_rx_lev_min_ce1: Integer


class LteQualityOfService(NamedTuple):
    """Version 1: the signal; coverage enhancement 0 to 2."""

    signal_quality: Integer
    signal_level: Integer
    signal_to_noise_ratio: Integer
    coverage_enhancement: Enum


class LteMonitoringV1(NamedTuple):
    """Class 151, LTE monitoring, version 1."""

    logical_name: LogicalName
    lte_network_parameters: Dynamic[LteNetworkParameters] = None
    lte_quality_of_service: Dynamic[LteQualityOfService] = None


_MULTICAST_METHODS = {
    "add_mc_ip_address": IpAddress,
    "delete_mc_ip_address": IpAddress,
    "get_nbof_mc_ip_addresses": None,
}
CLASSES = (
    *versions(27, "modem_configuration", ModemConfiguration, {0: 4, 1: 4}),
    *versions(28, "auto_answer", AutoAnswer, {0: 6, 2: 7}),
    *versions(
        29,
        "auto_connect",
        AutoConnect,
        {1: 6, 2: 6},
        methods={"connect": None},
    ),
    *versions(41, "tcp_udp_setup", TcpUdpSetup),
    *versions(42, "ipv4_setup", Ipv4Setup, methods=_MULTICAST_METHODS),
    *versions(43, "mac_address_setup", MacAddressSetup),
    *versions(44, "ppp_setup", PppSetup),
    *versions(45, "gprs_modem_setup", GprsSetup),
    *versions(47, "gsm_diagnostic", GsmDiagnostic, {0: 8, 1: 8, 2: 8}),
    *versions(48, "ipv6_setup", Ipv6Setup),
    *versions(151, "lte_monitoring", LteMonitoring),
    *versions(151, "lte_monitoring", LteMonitoringV1, {1: 3}),
)
