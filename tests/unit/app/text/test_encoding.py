"""Encodings of short texts: recognised or refused, never guessed into garbage."""

from __future__ import annotations

import pytest

from app.errors import DocumentRejected
from app.text.encoding import decode_text

_SENTENCES = {
    "Účet číslo 5: nájem 9 800 Kč měsíčně, splatný k patnáctému dni.": ("cp1250", "iso8859-2"),
    "Składka roczna wynosi 240 złotych i jest płatna do końca marca.": ("cp1250", "iso8859-2"),
    "A napijegy ára 4500 forint. A tó őre Szűcs Ödön.": ("cp1250", "iso8859-2"),
    "Taxa anuală este de treizeci de lei şi se plăteşte în ianuarie.": ("cp1250", "iso8859-2"),
    "Poplatok za psa je päťdesiat eur ročne. Žiadosť podajte na úrade.": ("cp1250", "iso8859-2"),
    "Kahvehane sabah altıda açılır. Şekerli kahve yirmi beş liradır.": ("cp1254", "iso8859-9"),
    "Biblioteka atidaryta kasdien. Mėnesio mokestis – šeši eurai.": ("cp1257",),
    "Ressemelage complet : 42 €. Un œillet coûte 1,50 €.": ("cp1252", "iso8859-15"),
    "Die Straße ist gesperrt. Der Schlüssel liegt beim Hausmeister.": ("cp1252", "iso8859-15", "mac-roman", "cp850"),
    "¿Cuánto cuesta la habitación? El año próximo, 40 por noche.": ("cp1252",),
    "The deposit is €850 – “payable in advance”.": ("cp1252",),
    "1½ cups of flour, ¼ l of milk; 180° C": ("cp1252",),
    "• the first • the second – £12": ("cp1252",),
    "Η βιβλιοθήκη ανοίγει στις εννέα. Η συνδρομή κοστίζει δέκα ευρώ.": ("cp1253", "iso8859-7"),
    "הספרייה נפתחת בשעה תשע. דמי המנוי הם שלושים שקלים.": ("cp1255", "iso8859-8"),
    "رسم الاشتراك السنوي ثلاثون دينارا.": ("cp1256", "iso8859-6"),
    "ห้องสมุดเปิดเวลาแปดโมงเช้า ค่าปรับวันละสองบาท": ("tis-620",),
    "Срок возврата составляет тридцать дней. Ключи у сторожа.": ("cp1251", "koi8-r", "cp866", "iso8859-5", "mac-cyrillic"),
    "Бібліотека відкрита щодня. Ключі у сторожа.": ("cp1251", "koi8-u"),
    "Команда drain останавливает старые workers in the cluster, затем apply.": ("cp1251", "koi8-r"),
    "返品期限は三十日です。": ("shift_jis", "euc_jp", "iso2022_jp"),
    "会議室の予約は総務部へ。": ("shift_jis", "euc_jp"),
    "창고는 아홉 시에 엽니다. TEAL-99 배터리.": ("euc_kr",),
    "包间最低消费二百八十元。": ("gb2312", "gb18030"),
    "毛巾租借一條五十元。": ("big5",),
}


@pytest.mark.parametrize(("text", "encoding"), [(text, one) for text, all_of in _SENTENCES.items() for one in all_of])
def test_a_sentence_is_read_in_the_encoding_it_was_written_in(text: str, encoding: str) -> None:
    assert decode_text(text.encode(encoding), "a.txt") == text


def test_a_word_that_several_encodings_would_fit_is_refused() -> None:
    with pytest.raises(DocumentRejected, match="save it as UTF-8"):
        decode_text("電話番号".encode("euc_jp"), "a.txt")


def test_utf_8_with_a_single_bad_byte_stays_utf_8() -> None:
    assert decode_text("Café Lumière – naïve".encode() + b"\xff", "a.txt") == "Café Lumière – naïve\ufffd"
