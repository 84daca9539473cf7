// All texts of the page, Korean and English.

const WORDS = {
  title: ['시세 한눈에', 'The market on one page'],
  skip: ['표로 건너뛰기', 'Skip to the table'],
  'problem.unreachable': ['서버에 닿지 않습니다', 'The server cannot be reached'],
  'problem.unreadable': ['서버의 답을 읽을 수 없습니다', 'The server’s answer cannot be read'],
  'problem.store-away': ['저장소(Redis)가 답하지 않습니다', 'The store does not answer'],
  'problem.broker-away': ['증권사에 조회할 수 없습니다', 'The broker cannot be asked'],
  'problem.too-many-requests': ['요청이 너무 잦습니다', 'Too many requests'],
  'problem.timed-out': ['요청이 너무 오래 걸렸습니다', 'The request took too long'],
  'problem.unauthorized': ['접근 토큰이 필요합니다', 'An access token is required'],
  'problem.no-price': ['이 종목의 시세를 아는 곳이 없습니다', 'There is no price of this code'],
  'problem.not-found': ['찾는 것이 없습니다', 'There is nothing here'],
  'problem.not-available': ['이 구성에서는 쓸 수 없습니다', 'This set-up does not support it'],
  'problem.internal': ['서버에 오류가 생겼습니다', 'The server failed'],
  loading: ['종목과 시세를 불러오는 중입니다', 'Loading the list and its prices'],
  failed: ['불러오지 못했습니다', 'Loading failed'],
  retry: ['다시 시도', 'Try again'],
  empty: ['아직 시세가 없습니다', 'There are no prices yet'],
  emptyIdle: ['아직 조회하지 못했습니다: {0}', 'None could be fetched yet: {0}'],
  emptyWhy: ['첫 조회가 끝나면 여기에 나타납니다.', 'They appear here after the first sweep.'],

  simulated: ['모의 시세: 모의 증권사가 만들어 낸 가격이며 실제 시세가 아닙니다', 'Simulated prices: they come from a simulated broker, not from the market'],
  simulatedShort: ['모의 시세', 'Simulated'],
  connecting: ['연결 중', 'Connecting'],
  connected: ['연결됨', 'Connected'],
  lost: ['연결 끊김', 'Disconnected'],
  lostAt: ['연결이 끊겼습니다. {0}까지 받은 값이며, 다시 연결하고 있습니다.', 'The connection is lost. The values are as of {0}; reconnecting.'],
  lostNow: ['연결이 끊겼습니다', 'The connection is lost'],

  open: ['장중', 'Open'],
  closedNow: ['장 마감', 'Closed'],
  until: ['{0} 마감', 'closes {0}'],
  opensAt: ['{0} 개장', 'opens {0}'],
  closesShown: ['{0} 종가를 보여 줍니다', 'showing the closes of {0}'],
  lastKnownShown: ['{0} 조회한 마지막 시세를 보여 줍니다', 'showing the last known prices, fetched {0}'],
  'phase.opening-auction': ['시가 단일가', 'Opening auction'],
  'phase.regular': ['정규장', 'Regular session'],
  'phase.closing-auction': ['종가 단일가', 'Closing auction'],
  'phase.post-close-price': ['장후 종가', 'Post-close'],
  'phase.single-price': ['시간외 단일가', 'Single price'],
  'phase.after-market': ['애프터마켓', 'After-market'],
  'phase.pre-market': ['프리마켓', 'Pre-market'],
  'phase.main': ['메인마켓', 'Main market'],
  'phase.closed': ['장 마감', 'Closed'],
  'why.weekend': ['주말', 'weekend'],
  'why.holiday': ['휴장일', 'holiday'],
  'why.before_open': ['개장 전', 'before the open'],
  'why.after_close': ['장 종료', 'after the close'],
  'why.previous_run': ['앞의 조회가 아직 끝나지 않음', 'the previous run is still going'],
  'why.store_away': ['Redis가 답하지 않음', 'Redis does not answer'],
  'why.before_close_is_final': ['종가가 아직 확정되지 않음', 'the close is not final yet'],
  'why.not_leader': ['다른 프로세스가 조회함', 'another process sweeps'],
  'why.no_leader': ['조회하는 프로세스가 없음', 'no process leads'],
  'why.banned': ['증권사가 접근을 막음', 'banned by the broker'],

  settings: ['설정', 'Settings'],
  language: ['언어', 'Language'],
  theme: ['화면', 'Theme'],
  'theme.auto': ['기기 설정', 'Same as device'],
  'theme.light': ['밝게', 'Light'],
  'theme.dark': ['어둡게', 'Dark'],
  colours: ['등락 색', 'Colours'],
  'colours.red-blue': ['빨강 상승, 파랑 하락', 'Red up, blue down'],
  'colours.green-red': ['초록 상승, 빨강 하락', 'Green up, red down'],
  'colours.orange-blue': ['주황 상승, 남색 하락 (색각 안전)', 'Orange up, indigo down (colour-blind safe)'],

  search: ['종목 찾기', 'Find a stock'],
  searchHint: ['종목명, 코드, 초성 (ㅅㅅㅈㅈ)', 'Name, code or initials (ㅅㅅㅈㅈ)'],
  found: ['{0}개 찾음', '{0} found'],
  notFound: ['찾는 종목이 없습니다', 'No matching stock'],

  views: ['보기', 'View'],
  map: ['지도', 'Map'],
  table: ['표', 'Table'],
  scope: ['범위', 'Part of the market'],
  all: ['전체 시장', 'Whole market'],
  back: ['넓게 보기', 'Zoom out'],
  KOSPI: ['코스피', 'KOSPI'],
  KOSDAQ: ['코스닥', 'KOSDAQ'],
  KOSPI200: ['코스피200', 'KOSPI 200'],
  sectorOther: ['기타', 'Other'],
  legend: ['등락률 색', 'Colours of the change rate'],
  stale: ['지연', 'Stale'],
  lastLevel: ['마지막 값', 'last level'],
  none: ['시세 없음', 'No price'],
  'mapLabel.one': ['시가총액 지도, 1종목', 'Map by market cap, 1 stock'],
  mapLabel: ['시가총액 지도, {0}종목', 'Map by market cap, {0} stocks'],
  mapHelp: [
    '화살표로 이동하고 Enter로 종목을 엽니다. + 로 업종을 확대하고 − 로 되돌아갑니다. 같은 내용이 표 보기에 있습니다.',
    'Arrow keys move, Enter opens a stock, + zooms into its sector and − zooms out. The table view shows the same data.',
  ],
  rising: ['상승', 'Up'],
  falling: ['하락', 'Down'],
  unchanged: ['보합', 'Flat'],
  idle: ['거래 없음·정지', 'Not trading'],

  name: ['종목', 'Stock'],
  code: ['코드', 'Code'],
  market: ['시장', 'Market'],
  sector: ['업종', 'Sector'],
  price: ['현재가', 'Price'],
  change: ['대비', 'Change'],
  rate: ['등락률', 'Rate'],
  volume: ['거래량', 'Volume'],
  value: ['거래대금', 'Value'],
  cap: ['시가총액', 'Market cap'],
  age: ['경과', 'Age'],
  tableLabel: ['모든 종목, {0}줄', 'All stocks, {0} rows'],
  'tableLabel.one': ['모든 종목, 1줄', 'All stocks, 1 row'],
  sortBy: ['정렬', 'Sort by'],
  ascending: ['오름차순', 'Ascending'],
  descending: ['내림차순', 'Descending'],
  tableEmpty: ['이 범위에 맞는 종목이 없습니다', 'No matching stock in this part of the market'],

  details: ['종목', 'Stock'],
  close: ['닫기', 'Close'],
  dayLine: ['오늘의 흐름', 'Today'],
  lineWords: ['{0}부터 {1}까지 최저 {2}, 최고 {3}', 'From {0} to {1}, low {2}, high {3}'],
  noLine: ['오늘의 기록이 아직 없습니다', 'No data for today yet'],
  noPrice: ['알려진 시세가 없습니다', 'No known price'],
  unknownCode: ['{0} 종목은 목록에 없습니다', '{0} is not in the list'],
  opening: ['시가', 'Open'],
  high: ['고가', 'High'],
  low: ['저가', 'Low'],
  previous: ['전일 종가', 'Prev. close'],
  shares: ['상장주식수', 'Listed shares'],
  status: ['상태', 'Status'],
  session: ['세션', 'Session'],
  venue: ['거래소', 'Venue'],
  source: ['출처', 'Source'],
  traded: ['기준 시각', 'As of'],
  fetched: ['조회 시각', 'Fetched'],
  'status.trading': ['거래 중', 'Trading'],
  'status.halted': ['거래정지', 'Halted'],
  'status.untraded': ['거래 없음', 'Untraded'],
  'standing.halted': ['거래정지', 'Halted'],
  'standing.untraded': ['거래 없음', 'Untraded'],
  'standing.upper': ['상한가', 'Limit up'],
  'standing.lower': ['하한가', 'Limit down'],
  'source.kis.multi': ['KIS 복수종목 조회', 'KIS multi-price'],
  'source.kis.single': ['KIS 단일종목 조회', 'KIS single price'],
  'source.kis.ws': ['KIS 실시간 체결', 'KIS live feed'],
  'state.live': ['유효', 'live'],
  'state.stale': ['지연', 'stale'],
  'state.close': ['종가', 'close'],
  'state.none': ['시세 없음', 'no price'],

  movers: ['많이 움직인 종목', 'Movers'],
  gainers: ['상승률', 'Gainers'],
  losers: ['하락률', 'Losers'],
  byValue: ['거래대금', 'Value'],
  byVolume: ['거래량', 'Volume'],
  noMovers: ['순위에 오를 시세가 없습니다', 'There are no prices to rank'],
  indices: ['지수', 'Indices'],
  alerts: ['알림', 'Alerts'],
  noAlerts: ['받은 알림이 없습니다', 'No alerts so far'],
  'alert.price_above': ['{0} 정한 값보다 오름: {1}원', '{0} rose above its level: {1} won'],
  'alert.price_below': ['{0} 정한 값보다 내림: {1}원', '{0} fell below its level: {1} won'],
  'alert.change_beyond': ['{0} 기준가 대비 {1}', '{0} is {1} from the base price'],
  'alert.jump': ['{0} 짧은 시간에 {1} 움직임', '{0} moved by {1} within a short time'],
  'alert.new_high': ['{0} 당일 최고가: {1}원', '{0} has a new high of the day: {1} won'],
  'alert.new_low': ['{0} 당일 최저가: {1}원', '{0} has a new low of the day: {1} won'],
  'alert.volume_times': ['{0} 거래량이 평소의 {1}배', '{0} trades at {1} times its usual volume'],
  'alert.coverage_below': ['유효한 시세가 목록의 {1}뿐입니다', 'Only {1} of the list have a live price'],
  'alert.leader_lost': ['{1}초째 조회하는 프로세스가 없습니다', 'No process has led for {1} s'],
  'alert.test': ['시험 알림입니다. 실제로 일어난 일은 없습니다', 'This is a test; nothing happened'],
  alertRule: ['{0} (규칙 {1})', '{0} (rule {1})'],
  dismiss: ['알림 닫기', 'Dismiss'],

  health: ['수집 상태', 'Health'],
  healthFailed: ['상태를 알 수 없습니다: {0}', 'The status is unknown: {0}'],
  healthSince: ['{0}부터 상태를 알 수 없습니다: {1}. 아래는 그때의 값입니다.', 'The status has been unknown since {0}: {1}. The figures below are from then.'],
  coverage: ['분별 수집률', 'Coverage by minute'],
  coverageNow: ['최근 {0} ({1})', 'latest {0} ({1})'],
  coverageSince: ['{0}부터 세지 못함', 'not counted since {0}'],
  coverageWords: ['{0}부터 {1}까지 {2}분, {3}, 최저 {4}, {5} 아래 {6}분, 세지 못한 {7}분', '{0} to {1}, {2} minutes: {3}, lowest {4}, {6} below {5}, {7} not counted'],
  coverageNone: ['오늘 센 분이 없습니다', 'No minutes counted today'],
  notCounted: ['세지 못함', 'not counted'],
  ages: ['시세 경과', 'Ages'],
  noLive: ['유효한 시세 없음', 'no live price'],
  live: ['유효 시세', 'Live'],
  liveOf: ['{0} / {1}', '{0} of {1}'],
  calls: ['호출', 'Calls'],
  callsOf: ['초당 {0} / {1}', '{0} of {1} a second'],
  callsLimit: ['초당 최대 {0}', 'limit {0} a second'],
  callsShare: ['거절된 뒤 {0}', '{0} since a refusal'],
  callsMinute: ['최근 1분 {0}회', '{0} in the last minute'],
  leader: ['리더', 'Leader'],
  noLeader: ['없음', 'None'],
  since: ['{0}부터', 'since {0}'],
  alone: ['혼자 조회함', 'sweeps alone'],
  processes: ['프로세스 {0}개', '{0} processes'],
  'processes.one': ['프로세스 1개', '1 process'],
  nextRun: ['다음 조회', 'Next run'],
  notKnown: ['알 수 없음', 'not known'],
  notNow: ['지금은 안 함: {0}', 'not now: {0}'],
  lastSweep: ['지난 조회 {0}, {1}', 'last sweep {0}, {1}'],
  bannedUntil: ['{0}까지 금지', 'banned until {0}'],

  tokenTitle: ['토큰이 필요합니다', 'A token is needed'],
  tokenWhy: ['이 서버는 세션 토큰이 있어야 답합니다. 토큰은 이 탭이 열려 있는 동안만 보관합니다.', 'This server requires a session token. It is kept as long as this tab is open.'],
  token: ['토큰', 'Token'],
  use: ['사용', 'Use token'],
  tokenRefused: ['이 토큰은 받아들여지지 않았습니다', 'This token was not accepted'],
};

// Sectors by the exchange's names; others are shown untranslated.
const SECTORS = {
  '음식료·담배': 'Food & tobacco', '섬유·의류': 'Textiles', '종이·목재': 'Paper & wood', 화학: 'Chemicals',
  제약: 'Pharma', 비금속: 'Non-metals', 금속: 'Metals', '기계·장비': 'Machinery', '전기·전자': 'Electronics',
  '의료·정밀기기': 'Medical & precision', '운송장비·부품': 'Vehicles & parts', 유통: 'Retail & trade',
  '전기·가스': 'Utilities', 건설: 'Construction', '운송·창고': 'Transport', 통신: 'Telecom', 금융: 'Finance',
  증권: 'Securities', 보험: 'Insurance', 일반서비스: 'Services', 제조: 'Manufacturing', 부동산: 'Real estate',
  'IT 서비스': 'IT services', '오락·문화': 'Entertainment', '출판·매체복제': 'Publishing', 기타제조: 'Other manufacturing',
};

let language = 'ko';

/** Switches to a language: `ko` or `en`. */
export function speak(code) {
  language = code;
}

/** Returns the current language. */
export const spoken = () => language;

/** Whether there is a text for a key. */
export const hasWords = (key) => Object.hasOwn(WORDS, key);

/** Returns the text of a key, with `{0}`, `{1}` filled in. */
export function words(key, ...values) {
  const text = WORDS[key]?.[language === 'ko' ? 0 : 1] ?? key;
  return text.replace(/\{(\d)\}/g, (_, place) => values[place] ?? '');
}

/** Returns the text of a key for a count; one has a text of its own. */
export const counted = (key, count) => words(count === 1 ? `${key}.one` : key, count);

/** Returns the text of a name in a family, or the name itself if there is none. */
export function wordsOf(family, name) {
  if (name === undefined || name === null) return undefined;
  const key = `${family}.${name}`;
  return hasWords(key) ? words(key) : name;
}

/** Returns a sector's name in the current language. */
export function sectorName(sector) {
  if (!sector) return words('sectorOther');
  return language === 'ko' ? sector : (SECTORS[sector] ?? sector);
}

const REASONS = [
  ['weekend', 'why.weekend'], ['holiday', 'why.holiday'],
  ['before the open', 'why.before_open'], ['after the close', 'why.after_close'],
];

/** Translates why the market is closed; names of holidays stay as they are. */
export function closedWords(reason) {
  if (!reason) return undefined;
  const found = REASONS.find(([start]) => reason.startsWith(start));
  if (!found) return reason;
  const [start, key] = found;
  const rest = reason.slice(start.length).replace(/^:\s*/, '');
  return rest ? `${words(key)} (${rest})` : words(key);
}

/** Fills in the texts of all elements below `root` that name one in an attribute. */
export function label(root) {
  for (const element of root.querySelectorAll('[data-words]')) {
    element.textContent = words(element.dataset.words);
  }
  for (const element of root.querySelectorAll('[data-label]')) {
    element.setAttribute('aria-label', words(element.dataset.label));
  }
  for (const element of root.querySelectorAll('[data-hint]')) {
    element.placeholder = words(element.dataset.hint);
  }
}
