"""Function words by language: words that carry the form of a question and not its subject. A new language is one more entry.

A word belongs here when a correct answer need not contain it: question words, articles, pronouns, auxiliaries,
prepositions, and words that ask for the kind of an answer ("called", "mean", "long"). A word that can be the subject of a
question does not, however common it is.
"""

from __future__ import annotations

import re
from typing import Final

from app.text.analysis import STOP_WORDS
from app.text.folding import fold


def _words(text: str) -> list[str]:
    return text.split()


_SPACED: Final[dict[str, str]] = {
    "en": """also been got part still called come comes contain contains does everything exactly explain find get gets give gives happen happened happens
        hello far here know last lasts let like list long look make makes many mean means much done name named need needs often old one please say says
        shall show somebody someone something soon take takes tell thank thanks use used uses using want wants way ways work works""",
    "de": """einfach eigentlich dürfen frau herr herrn aber alle allem allen aller alles als am an auch auf aus bei beim bin bis bitte da damit dann darf das dass dem den denn der des
        dessen deren dich die dies diese diesem diesen dieser dieses dir du durch ein eine einem einen einer eines er es etwas für gegen gibt
        habe haben hat hatte hoch ich ihm ihn ihr ihre ihren im in ins ist ja kann kein keine können lange man mein mich mir mit muss müssen
        nach nicht nie noch nur ob oder oft ohne sein seine sich sie sind so soll sollen sollte über um und uns unser unter viel viele vielen groß lang alt weit vom
        von vor wann war waren warum was welche welchem welchen welcher welches wem wen wenn wer werden weshalb wie wieso wieviel wieviele
        will wir wird wo wofür woher wohin womit worden wurde wurden zu zum zur heißt bedeutet""",
    "fr": """peux pouvons dois devons à afin ai alors pendant durant selon après avant as au aucun aussi aux avec avoir c ça car ce ces cet cette ceux chez combien comme comment d dans de depuis des
        doit doivent donc du elle elles en entre es est et eu eux faire fait faut il ils j je l la le les leur leurs lui ma mais me mes moi
        mon n ne ni nos notre nous on ont ou où par pas peut peuvent plus pour pourquoi puis qu quand que quel quelle quelles quels qui quoi
        s sa sans se ses si son sont sous sur t ta te tes toi ton tous tout toute très tu un une vos votre vous y a été sera signifie
        appelle""",
    "es": """puedo puedes podemos debo debemos tengo tenemos a al algo algún alguna ante antes como cómo con cuál cuáles cuando cuándo cuánta cuántas cuánto cuántos de debe deben del desde
        donde dónde dos e el él ella ellas ellos en entre era es esa ese eso esta está están este esto fue ha hace hacia han hasta hay la
        las le les lo los más me mi mis muy no nos o para pero por porque puede pueden que qué quién quiénes se sea ser si sí sin sobre son
        su sus también te tiene tienen tu un una uno y ya yo significa significan llama""",
    "it": """posso possiamo devo dobbiamo a ad ai al alla alle allo anche che chi ci come con cosa cui da dai dal dalla dalle de degli dei del della delle dello deve di
        dove e è ed era fa gli ha hanno i il in io l la le lei li lo loro lui ma mi ne nei nel nella nelle no noi non o ogni per perché più
        può quale quali quando quanta quante quanto quanti questa questo qui se si sono su sua sue sui sul sulla suo suoi tra tu un una uno
        vi significa chiama""",
    "pt": """posso podemos devo devemos a ao aos as até com como da das de dela dele deve do dos e é ela ele eles em entre era essa esse esta está este eu foi há isso
        isto já lhe mais mas me meu minha muito na nas não no nos nós o onde os ou para pela pelas pelo pelos pode podem por porque qual
        quais quando quanta quantas quanto quantos que quem são se sem ser seu seus sua suas só também te tem têm um uma você significa
        chama""",
    "nl": """aan al als bij dat de deze die dit doe door een en er geen had heb hebben heeft hem het hoe hoeveel hoelang hun ik in is je
        kan kunnen maar me meer met mij mijn moet moeten naar niet nog nu of om onder ons ook op over te tot u uit uw van veel voor waar
        waarom wanneer waren was wat we welk welke wel werd wie wij wil worden wordt zal ze zich zij zijn zo zonder betekent heet""",
    "sv": """alla att av blev bli blir de dem den denna deras dess det detta dig din ditt du där efter ej eller en er ett från för ha hade
        han har hon hur här i icke inte jag kan med men mig min mitt mot mycket många måste ni nu när någon något och om oss på ska skall
        som så till under upp ut vad var varför varit vars vem vi vid vilka vilken vilket är heter betyder""",
    "pl": """a aby ale bez by był była było być ci co czy dla do gdy gdzie go i ich ile im ja jak jaka jaki jakie jakiej jakim je jego jej
        jest kiedy kto która które który ma mi mnie może można na nad nie o od on ona one oni oraz po pod przez się są ta tak tam te tego
        tej ten to tu tym w we więc z za ze że dlaczego musi oznacza nazywa""",
    "tr": """ama bir biz bu da daha de değil diye en gibi hangi her ile için ise kadar kaç kim kimdir mi mı mu mü ne neden nedir nerede
        nereden nereye niçin o olan olarak onu sen siz şu var ve veya ya""",
    "ru": """могу можем должна должны а без более бы был была были было быть в вам вас весь каким каких какими которого которой которая который во вот все всё всего вы где да для до его ее её если есть же за зачем
        и из или им их к как какая какие какой каком какого какую когда кого ко кто куда ли меня мне можно мой мы на над надо не него нее
        нет ни них но ну о об он она они оно от откуда по под почему при с сколько со так там то того тоже том тот ты у уже чего чем что
        чтобы чья эта эти это этого этот я должен нужно называется значит означает обозначает""",
    "uk": """а без був була було бути в вам вас ви від він вона вони все де для до є за з із і його йому її й коли кого куди як яка яке
        який які якого котра ми на не ні о об по під при про скільки та так там те того то ту у хто це цей ця чи чого чому що щоб я""",
    "ar": """يمكنني يمكننا أستطيع نستطيع ما ماذا من متى أين كيف كم لماذا هل أي أية هو هي هم هذا هذه ذلك تلك التي الذي الذين في على إلى عن مع أن إن كان كانت يكون تكون
        و أو ثم لا لم لن قد كل بعد قبل عند بين حتى هناك يمكن يجب تبلغ يبلغ لكل تقدر""",
    "he": """מה מי מתי איפה היכן איך כיצד כמה למה מדוע האם איזה איזו של על את אל עם הוא היא הם זה זאת זו אלה כי אם או גם לא יש אין כל""",
    "hi": """क्या कौन कब कहाँ कहां कैसे कितना कितनी कितने क्यों किस किसका किसकी किसे है हैं था थी थे हो होता होती का की के को में से पर
        और या यह वह ये वे इस उस एक भी ही तो नहीं कर लिए""",
    "el": """ο η το οι τα του της των τον την στο στη στην στον σε από με για και ή να θα είναι ήταν τι ποιος ποια ποιο πότε πού πώς πόσο
        πόσα πόσοι πόσες γιατί που ότι αν δεν μια ένα ένας""",
}
# For scripts without spaces: these words are removed from a question, longest first, before it is cut into pairs of characters.
_DENSE: Final = _words(
    """表示 意味着 意思 代表 是什么时候 什么时候 为什么 是多少 有多少 多少钱 多长时间 什么样 怎么样 几点钟 什么 多少 多长 多久 多大 多高 怎么 怎样 如何 哪里 哪儿 哪个 哪些 哪天 哪位 谁的 几点 几天 几个 几次 几号 是否 可以 能否 需要
    应该 必须 请问 我们 你们 他们 它们 这个 那个 一个 还是 或者 以及 关于 时候 的 了 吗 呢 吧 是 在 有 和 与 或 谁 几 哪 何 个 每 被 把 对 从 到 用 我 你 您 他 她 它 这 那 也 都 就 要 会 能
    什麼時候 為什麼 什麼 多長 怎麼 哪裡 請問 幾點 幾天 幾個 誰 幾 嗎 個 這 對 從 會 還 どういう意味 どういう いつまでに いつから いつまで でしょうか ありますか できますか なりますか しますか ですか ますか ました いますか ください
    について どのくらい どれくらい どうやって どのように いくつ いくら どうして どこに どこで どこ どんな どれ どの だれ なぜ いつ なに なん である ですが です ます した する して され いる ある から まで には
    では とは への ため こと もの 何時 何日 何年 何月 何人 何円 何回 何 誰 は が を に で と も の へ や か ね よ 무엇입니까 언제입니까 어디입니까 얼마입니까 누구입니까 무엇인가요 언제인가요 어디인가요
    얼마인가요 누구인가요 입니까 습니까 합니까 인가요 나요 까요 무엇을 무엇 언제까지 언제 어디에서 어디에 어디서 어디 얼마나 얼마 누구의 누가 누구 어떻게 어떤 어느 몇 왜 เมื่อไหร่ เมื่อไร
    เท่าไหร่ เท่าไร อย่างไร ทำไม ที่ไหน อะไรบ้าง อะไร ใคร ไหน กี่ หรือไม่ ไหม หรือ คือ เป็น มี ได้ ที่ ของ ใน และ ให้ จะ
    ต้อง"""
)

FUNCTION_WORDS: Final[dict[str, frozenset[str]]] = {
    name: frozenset(map(fold, words.split())) for name, words in _SPACED.items()
} | {"en": STOP_WORDS | frozenset(_SPACED["en"].split())}
# Words for the kind of answer, which the answer itself often lacks: "Which day", "the name of".
ANSWER_KINDS: Final = frozenset(
    """version versions release amount color colour date day days hour hours kind minute minutes month months number person people place reason sort thing things time times
    type value week worth weeks year years location percentage percent address meaning definition
    tag tage uhr uhrzeit datum zeit jahr jahre monat monate woche wochen stunde stunden zahl anzahl art grund ort farbe
    année années jahren tagen monaten wochen stunden minuten mal fois vez veces volte раз минут месяцев weeks dauert dauern gilt gelten beträgt betragen liegt findet statt bekommt erhält reicht dure durent vaut lieu montant reçoit dura duran sale salen vale rige recibe
    длится действует составляет получает
    jour jours heure heures date temps an ans mois semaine semaines nombre raison lieu
    día días hora horas fecha tiempo año años mes meses semana semanas número
    giorno giorni ora ore data tempo anno anni mese mesi numero dia dias ano anos hora horas mês meses dag dagen uur jaar datum
    день дней дня час часов часа время дата год года лет месяц месяцев неделя номер يوم أيام ساعة الساعة تاريخ عدد""".split()  # noqa: SIM905
)
ANSWER_KIND_WORDS: Final = frozenset(map(fold, ANSWER_KINDS))
DENSE_FORMS: Final = re.compile("|".join(sorted(map(re.escape, _DENSE), key=len, reverse=True)))


def language(words: list[str]) -> str:
    """The language with the most function words among these folded words; "en" when no other language has any."""
    counts = {name: sum(word in known for word in words) for name, known in FUNCTION_WORDS.items()}
    best = max(counts, key=lambda name: (counts[name], name == "en"))
    plain = all(word.isascii() for word in words)
    return best if counts[best] else ("en" if plain else "")
